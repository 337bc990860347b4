/** `--workers`: the sources are taken by processes of this machine, and seen as one run. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fillMixed, fillStrings } from '../../support/bulk.js';
import { program, runCli, startCli } from '../../support/cli.js';
import { differences, snapshotOfAll } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { unlessEnded } from '../../support/halfway.js';
import { stallAfter } from '../../support/hold.js';
import { jobsOf } from '../../support/job-processes.js';
import { startProxy } from '../../support/proxy.js';
import { runJson } from '../../support/reports.js';
import { keysAt, type Server } from '../../support/servers.js';
import { clientsOf, setShards } from '../../support/shards.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';
import type { Report } from '../../../src/report.js';
import { findRuns, tell } from '../../../src/watch/run-sockets.js';

const stage = setStage();
const { shards, all, endpoints, arrived } = setShards(stage);

it.each(['2', 'auto'])('moves all sources, with %s', async (workers) => {
  await fillEveryType(stage.source.client);
  await fillMixed(shards[0] as Server, 3000);
  await fillStrings(shards[1] as Server, { count: 3000, valueBytes: 20, prefix: 'other:' });
  const before = await snapshotOfAll(clientsOf(all()));
  const { code, report } = await runJson([...endpoints(), '--workers', workers]);
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(report.from).toEqual(all().map(({ address }) => `${address}/0`));
  expect(report.sources?.map(({ status }) => status)).toEqual(Array(3).fill('complete'));
  expect(report.keys.moved).toBe(before.size);
  expect(differences(before, await arrived())).toEqual([]);
  for (const { client } of all()) expect(await client.dbsize()).toBe(0);
});

it('overwrites none with another’s, and loses none', async () => {
  for (const shard of all()) {
    await fillStrings(shard, { count: 3000, valueBytes: 20 });
    for (let at = 0; at < 100; at++) await shard.client.set(`own:${String(at)}`, shard.address);
  }
  const { code, report } = await runJson([...endpoints(), '--workers', '3']);
  expect(code).toBe(1);
  expect(report.keys).toMatchObject({ scanned: 9300, moved: 9100, conflicting: 200, failed: 0 });
});

it('gives each process the flags that the command gives itself', async () => {
  const command = readFileSync(program, 'utf8');
  const flags = [...command.matchAll(/setFlagsFromString\('(.*)'\)/g)].map(([, flag]) => flag);
  expect(flags).toHaveLength(2);
  for (const server of [stage.source, shards[0] as Server]) {
    await fillStrings(server, { count: 5000, valueBytes: 10, prefix: `${server.address}:` });
  }
  const from = [stage.source, shards[0] as Server].flatMap(({ address }) => ['--from', address]);
  const run = startCli([
    ...from,
    ...['--to', stage.cluster.seed, '--workers', '2', '--max-rate', '500'],
  ]);
  try {
    const words = await waitFor('the process of a job', () => {
      const [job] = jobsOf(run.pid);
      const all =
        job === undefined ? [] : readFileSync(`/proc/${String(job)}/cmdline`, 'utf8').split('\0');
      return all.some((word) => word.includes('job-process')) && all;
    });
    expect(words).toEqual(expect.arrayContaining(flags));
  } finally {
    run.signal('SIGKILL');
    await run.done;
  }
});

it.each([['move'], ['copy', '--copy']])(
  'goes on with another process when one is killed, to %s',
  async (_, ...words) => {
    const proxy = await startProxy(stage.source);
    try {
      await fillStrings(stage.source, { count: 40_000, valueBytes: 100 });
      await fillStrings(shards[0] as Server, { count: 1000, valueBytes: 20, prefix: 'other:' });
      const servers = [stage.source, shards[0] as Server];
      const before = await snapshotOfAll(clientsOf(servers));
      const stalled = stallAfter(proxy, 1_000_000);
      const run = startCli([
        ...['--from', proxy.address, '--from', (shards[0] as Server).address],
        ...['--to', stage.cluster.seed, '--workers', '2', '--json', '--timeout', '10m', ...words],
      ]);
      await unlessEnded(run, stalled);
      // The other one comes to its end.
      const last = (): boolean => jobsOf(run.pid).length === 1;
      await unlessEnded(run, waitFor('one process to be left', last));
      for (const pid of jobsOf(run.pid)) process.kill(pid, 'SIGKILL');
      proxy.resume();
      const { code, stdout, stderr } = await run.done;
      expect(stderr).toContain('died (SIGKILL)');
      expect(code).toBe(0);
      const report = JSON.parse(stdout) as Report;
      // What it had moved since it was last heard is not counted, and the report says so.
      expect(report.keys).toMatchObject({ scanned: report.keys.moved, failed: 0, conflicting: 0 });
      expect(report.keys.moved).toBeLessThanOrEqual(41_000);
      expect(report.warnings).toEqual([expect.stringContaining(`imports ${proxy.address} died`)]);
      expect(differences(before, await arrived())).toEqual([]);
      const left = words.length === 0 ? 0 : 40_000;
      expect(await stage.source.client.dbsize()).toBe(left);
    } finally {
      await proxy.stop();
    }
  },
);

it('is paused, limited and stopped as one run', async () => {
  for (const shard of all()) {
    await fillStrings(shard, { count: 5000, valueBytes: 20, prefix: `${shard.address}:` });
  }
  const before = await snapshotOfAll(clientsOf(all()));
  const words = ['--workers', '3', '--max-rate', '100', '--json'];
  const run = startCli([...endpoints(), ...words]);
  const socket = await unlessEnded(
    run,
    waitFor('the run to be up', async () => (await findRuns(run.pid))[0]?.path),
  );
  const movedSoFar = async (): Promise<number> => (await tell(socket, {})).report.keys.moved;
  const until = (what: string, holds: () => Promise<boolean>): Promise<boolean> =>
    unlessEnded(run, waitFor(what, holds));
  await until('keys to move', async () => (await movedSoFar()) > 0);
  expect((await tell(socket, { paused: true })).paused).toBe(true);
  // All that was under way has been counted when what has left is what has arrived, and has been heard.
  await until('what is in flight to end', async () => {
    const [left, there] = [await keysAt(all()), await stage.cluster.size()];
    return left + there === 15_000 && there === (await movedSoFar());
  });
  const moved = await movedSoFar();
  expect(moved).toBeLessThan(15_000);
  expect((await tell(socket, { rate: null })).limits.keysPerSecond).toBeNull();
  expect(await movedSoFar()).toBe(moved);
  run.signal('SIGINT');
  const { code, stdout } = await run.done;
  expect(code).toBe(130);
  const report = JSON.parse(stdout) as Report;
  expect(report.status).toBe('interrupted');
  const after = await snapshotOfAll(clientsOf([...all(), ...stage.cluster.masters]));
  expect(differences(before, after)).toEqual([]);
  expect((await runCli([...endpoints(), '--workers', '3', '--json'])).code).toBe(0);
  expect(differences(before, await arrived())).toEqual([]);
});

it('refuses what one process has to decide', async () => {
  await stage.cluster.clientFor('there').set('there', '1');
  await shards[0]?.client.set('a', '1');
  await stage.source.client.set('b', '1');
  const { code, stderr } = await runCli([...endpoints(), '--workers', '2', '--replace']);
  expect(code).toBe(2);
  expect(stderr).toContain('--workers: with --replace the sources take turns');
});
