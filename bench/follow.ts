/**
 * `npm run bench -- follow [keys] [writes/s] [cutovers] [seconds]`: how long writes are held for a cutover, and
 * how far the cluster is behind before it, while a client writes to random keys at a fixed rate. Each
 * cutover is one of a source and a cluster of their own, as the clients of a real one see it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '../src/report.js';
import { fillStrings } from '../test/support/bulk.js';
import { program, runCli } from '../test/support/cli.js';
import { type Server, startServer, using } from '../test/support/servers.js';
import { phaseOf } from './followers/ours.js';
import { withArena } from './lab/arena.js';
import { median } from './lab/medians.js';
import { run } from './lab/process.js';
import { say } from './lab/say.js';
import { startWriter } from './lab/writer.js';
import { table } from './report/table.js';
import type { Benchmark } from './types.js';

interface Cut {
  readonly heldMs: number;
  readonly longestWaitMs: number;
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  readonly writesPerSecond: number;
  readonly peakMb: number;
  readonly forks: number;
}

export const follow: Benchmark = {
  usage: '[keys] [writes/s] [cutovers] [seconds]   (1000000, 10000, 5 and 5 if not given)',
  async run([keys = '1000000', rate = '10000', cutovers = '5', seconds = '5']) {
    const cuts: Cut[] = [];
    await withArena(async (arena) => {
      for (let round = 0; round < Number(cutovers); round++) {
        await arena.cluster.flush();
        await using(startServer(), async (source) => {
          await fillStrings(source, { count: Number(keys), valueBytes: 64 });
          const { to } = arena;
          const given = { source, to, keys: Number(keys), rate: Number(rate) };
          const cut = await cutOver({ ...given, followMs: Number(seconds) * 1000 });
          const [there, arrived] = [await source.client.dbsize(), await arena.cluster.size()];
          if (there !== arrived) {
            throw new Error(`the cluster has ${String(arrived)} keys of ${String(there)}`);
          }
          say(`held ${String(cut.heldMs)} ms`);
          cuts.push(cut);
        });
      }
    });
    const head = ['', 'median', 'most'];
    const rows = Object.keys(cuts[0] ?? {}).map((name) => {
      const values = cuts.map((cut) => cut[name as keyof Cut]);
      return [name, ...[median(values), Math.max(...values)].map((value) => value.toFixed(1))];
    });
    console.log(table(head, rows));
  },
};

interface Given {
  readonly source: Server;
  readonly to: string;
  readonly keys: number;
  readonly rate: number;
  readonly followMs: number;
}

async function cutOver({ source, to, keys, rate, followMs }: Given): Promise<Cut> {
  const runtime = mkdtempSync(join(tmpdir(), 'cluster-import-bench-'));
  const env = { XDG_RUNTIME_DIR: runtime };
  const writer = startWriter(source, { keys, rate });
  try {
    const files = ['--state', join(runtime, 'journal')];
    const words = [...['--from', source.address, '--to', to, '--follow'], ...files];
    const args = ['XDG_RUNTIME_DIR=' + runtime, process.execPath, program, ...words];
    const running = run({ program: 'env', args: [...args, '--json', '--quiet'] });
    while ((await phaseOf(env)) !== 'following') await sleep(200);
    await sleep(followMs);
    const { code, stderr } = await runCli(['ctl', 'cutover'], env);
    if (code !== 0) throw new Error(stderr);
    const ended = await running;
    if (ended.code !== 0) throw new Error(ended.stderr);
    const { follow: told } = JSON.parse(ended.stdout) as Report;
    const info = await source.client.info('stats');
    return {
      heldMs: told?.cutover?.heldMs ?? NaN,
      longestWaitMs: writer.longestWaitMs,
      lagP50Ms: told?.lagMs.p50 ?? NaN,
      lagP99Ms: told?.lagMs.p99 ?? NaN,
      lagMaxMs: told?.lagMs.max ?? NaN,
      writesPerSecond: writer.writesPerSecond,
      peakMb: (ended.peakBytes ?? NaN) / 1e6,
      forks: Number(/total_forks:(\d+)/.exec(info)?.[1] ?? NaN),
    };
  } finally {
    writer.stop();
    rmSync(runtime, { recursive: true });
  }
}
