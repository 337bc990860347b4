/** This tool, following its source. */
import { join } from 'node:path';
import type { State } from '../../src/watch/run-sockets.js';
import { program, runCli } from '../../test/support/cli.js';
import { waitFor } from '../../test/support/wait.js';
import { startService } from '../lab/service.js';
import type { Follower } from '../types.js';

export const ours: Follower = {
  name: 'cluster-import',
  missing: () => undefined,
  start({ source, cluster, directory }) {
    const env = { XDG_RUNTIME_DIR: directory };
    const words = ['--from', source.address, '--to', cluster.seed, '--follow'];
    const args = [program, ...words, '--state', join(directory, 'journal'), '--quiet', '--json'];
    const service = startService({ program: process.execPath, args }, env);
    return Promise.resolve({
      ...{ service, clientFor: (key: string) => cluster.clientFor(key) },
      async isFollowing() {
        const whether = async () => service.hasEnded || (await phaseOf(env)) === 'following';
        await waitFor('cluster-import to follow', whether, { everyMs: 200 });
      },
    });
  },
};

/** How far the run is that has its socket there; undefined: none has. */
export async function phaseOf(env: {
  readonly XDG_RUNTIME_DIR: string;
}): Promise<string | undefined> {
  const { code, stdout } = await runCli(['ctl', 'status', '--json'], env);
  return code === 0 ? (JSON.parse(stdout) as State).follow?.phase : undefined;
}
