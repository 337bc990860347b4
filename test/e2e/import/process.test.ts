/** What the process does when its surroundings fail it: nobody reads, the disk is full, a bug. */
import { execFile } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { program, startCli } from '../../support/cli.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const count = 2000;
let proxy: Proxy;
beforeEach(async () => {
  proxy = await startProxy(stage.source);
  await fillStrings(stage.source, { count, valueBytes: 20 });
});
afterEach(() => proxy.stop());

/** Something is said on both streams. */
const talkative = ['--json', '--metrics', '127.0.0.1:0'];

describe('a run that nobody listens to', () => {
  it('goes on to its end, and exits as it would', async () => {
    const run = startCli([...stage.endpoints, ...talkative]);
    run.deafen();
    expect(await run.done).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(await stage.cluster.size()).toBe(count);
    expect(await stage.source.client.dbsize()).toBe(0);
  });

  it.each(['>/dev/full', '2>/dev/full'])('nor do full disks matter (%s)', async (redirection) => {
    const words = ['-c', `exec "$0" "$@" ${redirection}`, process.execPath, program];
    const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
      execFile('sh', [...words, ...stage.endpoints, ...talkative], (error, _stdout, stderr) => {
        resolve({ code: error?.code, stderr });
      });
    });
    expect(code).toBeUndefined();
    expect(await stage.cluster.size()).toBe(count);
    if (redirection.startsWith('>')) expect(stderr).toMatch(/standard output .*ENOSPC/);
  });
});

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('ends on %s before the start too, when servers are silent', async (signal, exit) => {
  proxy.stall();
  const run = startCli(['--from', proxy.address, '--to', stage.cluster.seed]);
  await waitFor('a connection to the source', () => proxy.connections > 0);
  run.signal(signal);
  expect(await run.done).toEqual({
    code: exit,
    stdout: '',
    stderr: 'cluster-import: Stopped before the start: nothing was moved.\n',
  });
});

it.each([
  ['an exception', 'throw new Error("the odd one")'],
  ['a rejection', 'Promise.reject(new Error("the odd one"))'],
])('tells of %s that nobody foresaw in one sentence', async (_name, bug) => {
  // The bug is brought along, and waits for a signal that means nothing else.
  const preload = encodeURIComponent(`process.on("SIGCONT", () => { ${bug} })`);
  proxy.stall();
  const words = ['--from', proxy.address, '--to', stage.cluster.seed, '--quiet'];
  const run = startCli(words, { NODE_OPTIONS: `--import data:text/javascript,${preload}` });
  await waitFor('a connection to the source', () => proxy.connections > 0);
  run.signal('SIGCONT');
  const { code, stdout, stderr } = await run.done;
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
  expect(stderr).toMatch(/^cluster-import: .*the odd one.*\n$/);
});
