/**
 * The source fails in the midst of a run: it is restarted, hangs, or becomes a replica. That its
 * connections are cut is tested in stopping.test.ts, and failovers with Sentinels in sentinel.test.ts.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed, fillStrings } from '../../support/bulk.js';
import { type Snapshot, snapshot } from '../../support/compare.js';
import { type ClusterNode, startCluster } from '../../support/cluster.js';
import { startCli } from '../../support/cli.js';
import { startHalfway, startListing, unlessEnded } from '../../support/halfway.js';
import { stallAfter, stallAtRemoval } from '../../support/hold.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { type Reported, reportOf, runJson } from '../../support/reports.js';
import { using } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage({ source: { config: ['appendonly yes', 'appendfsync always'] } });
const count = 6000;
let proxy: Proxy;
let before: Snapshot;

beforeEach(async () => {
  proxy = await startProxy(stage.source);
  await fillMixed(stage.source, count);
  before = await snapshot(stage.source.client);
});
afterEach(() => proxy.stop());

const expectComplete = (run: Reported) => stage.expectComplete(before, run);

/** A run that is halfway, and goes on once the proxy does. */
const halfway = (...words: string[]) =>
  startHalfway({ source: stage.source, proxy, to: stage.cluster.seed, words });

describe.each(['relay', 'migrate'])('with %s', (mover) => {
  it('it is killed, and started again with its data', async () => {
    const run = await halfway('--mover', mover);
    await stage.source.crash();
    proxy.resume();
    await stage.source.revive();
    const result = reportOf(await run.done);
    await expectComplete(result);
    expect(result.report.keys).toMatchObject({ scanned: count, moved: count });
  });

  it('it is silent for longer than it may be, and then goes on', async () => {
    const run = await halfway('--mover', mover, '--timeout', '3s');
    process.kill(stage.source.pid, 'SIGSTOP');
    proxy.resume();
    try {
      await run.output(/lost 127\.0\.0\.1:\d+; trying again/);
    } finally {
      process.kill(stage.source.pid, 'SIGCONT');
    }
    await expectComplete(reportOf(await run.done));
  });

  it("it is busy with somebody's script, until that is ended", async () => {
    const { client } = stage.source;
    // More than a page, however far away the source seems to be.
    await fillStrings(stage.source, { count: 30_000, valueBytes: 20 });
    before = await snapshot(client);
    const words = ['--mover', mover];
    const run = await startListing({ proxy, to: stage.cluster.seed, words });
    await client.config('SET', 'lua-time-limit', '1');
    const other = client.duplicate();
    try {
      other.eval('while true do end', 0).catch(() => undefined);
      const isBusy = () =>
        client.ping().then(
          () => false,
          (error: unknown) => /BUSY/.test(String(error)),
        );
      await waitFor('it to be busy', isBusy);
      const told = new Promise<void>((resolve) => {
        let isListing = false;
        proxy.faults.corrupt = (chunk, direction) => {
          isListing ||= direction === 'up' && chunk.includes('SCAN');
          if (isListing && direction === 'down' && chunk.includes('-BUSY')) resolve();
          return chunk;
        };
      });
      proxy.resume();
      await unlessEnded(run, told);
      await client.script('KILL');
      await expectComplete(reportOf(await run.done));
    } finally {
      await client.script('KILL').catch(() => undefined);
      other.disconnect();
    }
  });

  it('it never speaks again', async () => {
    const run = await halfway('--mover', mover, '--timeout', '3s', '--retry-for', '500ms');
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(3);
    expect(report.error).toContain(`${proxy.address} did not answer within 3000 ms`);
    proxy.resume();
    await expectComplete(await runJson(['--from', proxy.address, '--to', stage.cluster.seed]));
  });

  it('it becomes a replica for good, and so nothing can leave it any more', async () => {
    const run = await halfway('--mover', mover, '--retry-for', '1s');
    await stage.source.client.replicaof('127.0.0.1', '1');
    try {
      proxy.cut();
      proxy.resume();
      const { code, report } = reportOf(await run.done);
      expect(code).toBe(3);
      expect(report.error).toContain('has become a read-only replica');
    } finally {
      await stage.source.client.replicaof('NO', 'ONE');
    }
    await expectComplete(await runJson(['--from', proxy.address, '--to', stage.cluster.seed]));
  });
});

it('is lost while it deletes what the node acknowledged of a batch, before that was lost', async () => {
  // So few that they are one batch.
  const few = 400;
  await using(startCluster({ masters: 1 }), async (cluster) => {
    const [master] = cluster.masters as [ClusterNode];
    await stage.source.client.flushall();
    await fillStrings(stage.source, { count: few, valueBytes: 20 });
    before = await snapshot(stage.source.client);
    await using(startProxy(master), async (node) => {
      let isFirst = true;
      node.faults.corrupt = (chunk, direction) => {
        if (direction === 'down' || !chunk.includes('SET\r\n$') || !chunk.includes('key:'))
          return chunk;
        if (isFirst) {
          isFirst = false;
          return chunk;
        }
        // What is sent for the second part of the batch does not arrive.
        node.faults.corrupt = undefined;
        node.cut();
        return chunk.subarray(0, 0);
      };
      const removing = stallAtRemoval(proxy);
      const nat = ['--nat', `${master.address}=${node.address}`];
      const endpoints = ['--from', proxy.address, '--to', cluster.seed];
      const run = startCli([...endpoints, ...nat, '--mover', 'relay', '--json', '--quiet']);
      await unlessEnded(run, removing);
      proxy.cut();
      proxy.resume();
      const { code, report } = reportOf(await run.done);
      expect(report.keys).toMatchObject({ scanned: few, moved: few, gone: 0 });
      expect(code).toBe(0);
    });
    expect(await stage.source.client.dbsize()).toBe(0);
    expect(await snapshot(master.client)).toEqual(before);
  });
});

it('is killed while it is copied, and what was written to since is copied again', async () => {
  // So many that the listing is not over at a third of the way: it begins anew.
  const many = 100_000;
  await fillStrings(stage.source, { count: many, valueBytes: 20 });
  const held = stallAfter(proxy, 1_500_000);
  const endpoints = ['--from', proxy.address, '--to', stage.cluster.seed];
  const run = startCli([...endpoints, '--copy', '--mover', 'relay', '--json', '--quiet']);
  await unlessEnded(run, held);
  const [node] = stage.cluster.masters;
  const copied = async () => (await node?.client.randomkey()) ?? '';
  await waitFor('keys to be copied', async () => (await copied()) !== '');
  const key = await copied();
  await stage.source.client.set(key, 'as it is now');
  await stage.source.crash();
  proxy.resume();
  await stage.source.revive();
  const { code, report } = reportOf(await run.done);
  expect(report.error).toBeUndefined();
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(report.keys).toMatchObject({ scanned: count + many, moved: count + many });
  expect(await stage.cluster.clientFor(key).get(key)).toBe('as it is now');
});
