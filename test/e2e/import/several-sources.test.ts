/** The shards of a sharded set-up, and the masters of a cluster, into one cluster. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed, fillStrings } from '../../support/bulk.js';
import { runCli } from '../../support/cli.js';
import { type ClusterNode, startCluster, type TestCluster } from '../../support/cluster.js';
import { differences, snapshotOfAll } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { stallAfter } from '../../support/hold.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { runJson } from '../../support/reports.js';
import { slotOf } from '../../support/keys.js';
import { clientsOf, setShards } from '../../support/shards.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const { shards, all, endpoints, arrived } = setShards(stage);

it.each(['relay', 'auto'])('moves all of them, by %s', async (mover) => {
  await fillEveryType(stage.source.client);
  for (const [at, shard] of shards.entries()) {
    await fillStrings(shard, { count: 5000, valueBytes: 30, prefix: `${String(at)}:` });
  }
  const before = await snapshotOfAll(clientsOf(all()));
  const { code, report } = await runJson([...endpoints(), '--mover', mover]);
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(report.from).toEqual(all().map(({ address }) => `${address}/0`));
  expect(report.sources?.map(({ status }) => status)).toEqual(Array(3).fill('complete'));
  expect(report.sources?.slice(1).map(({ keys }) => keys.moved)).toEqual([5000, 5000]);
  expect(differences(before, await arrived())).toEqual([]);
  for (const { client } of all()) expect(await client.dbsize()).toBe(0);
});

it('overwrites none with another’s, and loses none', async () => {
  for (const shard of all()) {
    await fillStrings(shard, { count: 3000, valueBytes: 20 });
    for (let at = 0; at < 100; at++) await shard.client.set(`own:${String(at)}`, shard.address);
  }
  const { code, report } = await runJson(endpoints());
  expect(code).toBe(1);
  // Of the equal ones one copy does for all.
  expect(report.keys).toMatchObject({ scanned: 9300, moved: 9100, conflicting: 200, failed: 0 });
  for (let at = 0; at < 100; at++) {
    const key = `own:${String(at)}`;
    const holders = await Promise.all(all().map(({ client }) => client.get(key)));
    holders.push(await stage.cluster.clientFor(key).get(key));
    expect(holders.filter(Boolean).sort()).toEqual(
      all()
        .map(({ address }) => address)
        .sort(),
    );
  }
});

it('goes on with the others when one fails, and says which', async () => {
  const proxy: Proxy = await startProxy(stage.source);
  try {
    for (const shard of all()) {
      await fillStrings(shard, { count: 3000, valueBytes: 20, prefix: `${shard.address}:` });
    }
    const args = ['--from', proxy.address, ...endpoints().slice(2)];
    const patience = ['--retry-for', '1s', '--timeout', '3s'];
    const stalled = stallAfter(proxy, 50_000);
    const { code, stdout } = await runCli([...args, '--json', '--quiet', ...patience]);
    await stalled;
    expect(code).toBe(3);
    const report = JSON.parse(stdout) as Awaited<ReturnType<typeof runJson>>['report'];
    expect(report.sources?.map(({ status }) => status)).toEqual(['failed', 'complete', 'complete']);
    expect(report.error).toContain(`${proxy.address}/0: `);
    expect(await shards[0]?.client.dbsize()).toBe(0);
    expect(await shards[1]?.client.dbsize()).toBe(0);
  } finally {
    await proxy.stop();
  }
  expect(await stage.cluster.size()).toBeGreaterThanOrEqual(6000);
  expect((await stage.cluster.size()) + (await stage.source.client.dbsize())).toBeGreaterThan(8999);
});

it('tells of names that several have, before and after', async () => {
  for (const shard of all()) {
    await shard.client.mset('same', shard.address, `only:${shard.address}`, 1);
  }
  const dry = await runCli([...endpoints(), '--dry-run', '--quiet']);
  expect(dry.stdout).toMatch(/^ {2}shared +2 +of names that several sources have$/m);
  expect(dry.stdout).toMatch(/--key-prefix '\{from\}\/\{db\}:'/);
  const { code, stdout } = await runCli([...endpoints(), '--quiet']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^ {2}1 conflict of 127\.0\.0\.1:\d+\/0: .*\n {4}"same"$/m);
  expect(stdout).toMatch(/Conflicting keys: where several sources have one, .*--key-prefix/);
});

it('keeps them apart by {from}', async () => {
  for (const { client, address } of all()) await client.set('same', address);
  const { code, report } = await runJson([...endpoints(), '--key-prefix', '{from}:']);
  expect(code).toBe(0);
  expect(report.keys).toMatchObject({ scanned: 3, moved: 3, conflicting: 0 });
  for (const { address } of all()) {
    const key = `${address}:same`;
    expect(await stage.cluster.clientFor(key).get(key)).toBe(address);
  }
});

it('refuses a server that is named twice, whatever the name', async () => {
  const proxy = await startProxy(stage.source);
  try {
    const { code, stderr } = await runCli([...endpoints(), '--from', proxy.address, '--quiet']);
    expect(stderr).toMatch(/are the same database of the same server: name it once/);
    expect(code).toBe(2);
  } finally {
    await proxy.stop();
  }
});

it('wants one source at least', async () => {
  const { code, stderr } = await runCli(['--to', stage.cluster.seed]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/: --from is missing: pass --from <endpoint>/);
});

describe('a cluster as the source', () => {
  let from: TestCluster;
  beforeAll(async () => {
    from = await startCluster();
  });
  beforeEach(() => from.flush());
  afterAll(() => from.stop());

  async function fill(): Promise<void> {
    await fillMixed(stage.source, 3000);
    await fillEveryType(stage.source.client);
    const { code } = await runJson(['--from', stage.source.address, '--to', from.seed]);
    expect(code).toBe(0);
  }

  it.each([[[]], [['--no-guard']], [['--copy']], [['--mover', 'auto', '--timeout', '5s']]])(
    'gives the keys of all its masters, with %j',
    async (flags) => {
      await fill();
      const before = await snapshotOfAll(clientsOf(from.masters));
      const { code, report } = await runJson([
        ...['--from-cluster', from.seed, '--to', stage.cluster.seed, ...flags],
      ]);
      expect(report.failures).toEqual([]);
      expect(code).toBe(0);
      expect(report.mover).toBe('relay');
      expect(report.from).toHaveLength(3);
      expect(differences(before, await arrived())).toEqual([]);
      expect(await from.size()).toBe(flags.includes('--copy') ? before.size : 0);
    },
  );

  it.each([
    [[]],
    [['--no-guard']],
    [['--copy']],
    [['--verify']],
    [['--split-above', '1kb']],
    [['--no-guard', '--split-above', '1kb']],
  ])('says what to do with a key that its node does not own, with %j', async (flags) => {
    await fillMixed(stage.source, 300);
    const filled = await runJson(['--from', stage.source.address, '--to', from.seed]);
    expect(filled.code).toBe(0);
    const before = await snapshotOfAll(clientsOf(from.masters));
    const [holder, owner] = from.masters as [ClusterNode, ClusterNode];
    const stray = String(await owner.client.randomkey());
    const slot = slotOf(stray);
    await holder.client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner.id);
    await Promise.all([holder.client.call('ASKING'), holder.client.set(stray, 'stray')]);
    await holder.client.call('CLUSTER', 'SETSLOT', slot, 'STABLE');

    const endpoints = ['--from-cluster', from.seed, '--to', stage.cluster.seed];
    const { code, report } = await runJson([...endpoints, ...flags]);
    const message = `${holder.address} does not own the slot of this key: run cluster-import check --fix-keys --to ${holder.address}, then import again`;
    expect(report.failures).toEqual([
      expect.objectContaining({ key: stray, class: 'source', message }),
    ]);
    expect(report.keys).toMatchObject({ moved: before.size, failed: 1 });
    expect(code).toBe(1);
    expect(differences(before, await arrived())).toEqual([]);
    expect(await holder.client.dbsize()).toBeGreaterThan(0);
  });

  it('is not the one that the keys are to go to', async () => {
    const { seed } = stage.cluster;
    const { code, stderr } = await runCli(['--from-cluster', seed, '--to', seed, '--quiet']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/must be two clusters|are the same server/);
  });

  it('is not a single server', async () => {
    const { address } = stage.source;
    const args = ['--from-cluster', address, '--to', stage.cluster.seed, '--quiet'];
    const { code, stderr } = await runCli(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/is not a node of a cluster: name a server that stands alone in --from/);
  });

  it('is told from a single server', async () => {
    const { code, stderr } = await runCli(['--from', from.seed, '--to', stage.cluster.seed]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/is a node of a cluster: name it in --from-cluster/);
  });
});
