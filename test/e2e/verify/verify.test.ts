/** Verifying finds every difference and invents none, tells what differs, and repairs what can be. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fillMixed, fillStrings } from '../../support/bulk.js';
import { runCli, startCli } from '../../support/cli.js';
import { digestConfig } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import type { ClusterNode } from '../../support/cluster.js';
import { differing, keepExpired, kinds, plant } from '../../support/planted.js';
import { startProxy } from '../../support/proxy.js';
import { type Verified, verifyJson } from '../../support/reports.js';
import { beginSlotMove, moveSlot } from '../../support/reshard.js';
import { startServer, using } from '../../support/servers.js';
import { slotOf } from '../../support/keys.js';
import { setStage } from '../../support/stage.js';

const stage = setStage({ source: { config: digestConfig }, cluster: { config: digestConfig } });

async function copyAll(): Promise<void> {
  const { code, stderr } = await runCli([...stage.endpoints, '--copy', '--quiet']);
  expect(stderr).toBe('');
  expect(code).toBe(0);
}

const verify = (...flags: string[]): Promise<Verified> =>
  verifyJson([...stage.endpoints, ...flags]);

const sides = {
  get source() {
    return stage.source.client;
  },
  clientFor: (key: string) => stage.cluster.clientFor(key),
};

it('finds every planted difference, and no other', async () => {
  await fillEveryType(stage.source.client);
  await fillMixed(stage.source, 6000);
  await fillStrings(stage.source, { count: 3000, valueBytes: 64, prefix: 'string:' });
  await fillStrings(stage.source, { count: 20, valueBytes: 100_000, prefix: 'long:' });
  await copyAll();
  const clients = [stage.source.client, ...stage.cluster.masters.map(({ client }) => client)];
  await keepExpired(clients);
  const planted = await plant(sides, kinds, kinds.length * 4);
  const { code, report } = await verify();
  const wanted = planted.flatMap(({ key, kind }) =>
    kind.found === undefined ? [] : [`${kind.found} ${key}`],
  );
  expect(report.differences.map(({ kind, key }) => `${kind} ${key}`).sort()).toEqual(wanted.sort());
  for (const { key, kind } of planted) {
    const found = report.differences.find((difference) => difference.key === key);
    if (kind.words) expect(found?.message).toMatch(kind.words);
  }
  expect(code).toBe(1);
  expect(report.status).toBe('different');
});

it('says that equal is equal', async () => {
  await fillEveryType(stage.source.client);
  await fillMixed(stage.source, 3000);
  await copyAll();
  const keys = await stage.source.client.dbsize();
  const { code, report } = await verify();
  expect(report).toMatchObject({ status: 'equal', differences: [] });
  expect(report.keys).toMatchObject({ compared: keys, lookedBack: keys });
  expect(code).toBe(0);
});

it('prints a line for each difference, and what there was in all', async () => {
  await stage.source.client.set('\u001b[2J', 'never read on a terminal');
  const { code, stdout } = await runCli(['verify', ...stage.endpoints, '--quiet']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^missing {4}"\\u001b\[2J" {2}a string at the source\n/);
  expect(stdout).toMatch(/\n {2}missing +1 {2}at the source, not in the cluster\n/);
});

it('shows a hundred differences of a source that was moved, and says why there are so many', async () => {
  await fillStrings(stage.source, { count: 250, valueBytes: 10 });
  expect((await runCli(stage.endpoints)).code).toBe(0);
  const { code, stdout } = await runCli(['verify', ...stage.endpoints, '--quiet']);
  expect(code).toBe(1);
  expect(stdout.match(/^extra {6}/gm)).toHaveLength(100);
  expect(stdout).toContain('\n… and 150 more: --differences <file> writes all of them\n');
  expect(stdout).toMatch(/\n✗ Different, .*\nNo source holds a key\. After a move/);
  const file = `${stage.source.directory}/all.jsonl`;
  const written = await runCli(['verify', ...stage.endpoints, '--quiet', '--differences', file]);
  expect(written.stdout).toContain(`… and 150 more: all of them are in ${file}\n`);
  expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(250);
});

it('repairs what is missing or differs, and leaves what only the cluster has', async () => {
  await fillMixed(stage.source, 600);
  await copyAll();
  const planted = await plant(sides, differing, differing.length * 2);
  const { code, report } = await verify('--repair');
  const extra = planted.filter(({ kind }) => kind.found === 'extra');
  expect(report.differences.map(({ kind }) => kind)).toEqual(extra.map(() => 'extra'));
  expect(report.keys.repaired).toBe(planted.length - extra.length);
  expect(code).toBe(1);
  for (const { key } of extra) await stage.cluster.clientFor(key).del(key);
  expect(await verify()).toMatchObject({ code: 0, report: { status: 'equal' } });
});

it('compares giant values in slices', async () => {
  const items = Array.from({ length: 1200 }, () => randomBytes(8000));
  for (const key of ['equal list', 'other list']) await stage.source.client.rpush(key, ...items);
  const fields = items.flatMap((item, at) => [`field ${String(at)}`, item]);
  for (const key of ['equal hash', 'other hash']) await stage.source.client.hset(key, ...fields);
  await copyAll();
  await stage.cluster.clientFor('other list').lset('other list', 1111, 'other');
  await stage.cluster.clientFor('other hash').hset('other hash', 'field 1111', 'other');
  const { report } = await verify();
  expect(report.differences.map(({ key, message }) => `${key}: ${message}`).sort()).toEqual([
    'other hash: field "field 1111" differs',
    'other list: element 1111 of 1200 differs',
  ]);
});

it('compares values that the nodes keep in another way, many at a time', async () => {
  const names = ['hash-max-ziplist-entries', 'zset-max-ziplist-entries', 'set-max-intset-entries'];
  const setAll = (value: number): Promise<unknown> =>
    Promise.all(
      stage.cluster.masters.flatMap(({ client }) =>
        names.map((name) => client.config('SET', name, value)),
      ),
    );
  await setAll(0);
  try {
    await fillMixed(stage.source, 3000);
    await copyAll();
    await stage.source.client.config('RESETSTAT');
    expect(await verify()).toMatchObject({ code: 0, report: { keys: { compared: 3000 } } });
    // Each of them alone would take a HSCAN, or a ZCARD, and more.
    const stats = await stage.source.client.info('commandstats');
    expect(stats).not.toMatch(/cmdstat_(hscan|zcard|sscan)/);
    const planted = await plant(sides, differing, differing.length * 3);
    const { report } = await verify();
    expect(report.differences.map(({ kind, key }) => `${kind} ${key}`).sort()).toEqual(
      planted.map(({ key, kind }) => `${String(kind.found)} ${key}`).sort(),
    );
  } finally {
    await setAll(128);
  }
});

it('asks for few large values at one time, and for larger ones in slices', async () => {
  const { source, cluster } = stage;
  for (let at = 0; at < 30; at++)
    await source.client.set(`large:${String(at)}`, randomBytes(600_000));
  await source.client.set('larger', randomBytes(3_000_000));
  await source.client.rpush('list', ...Array.from({ length: 40 }, () => randomBytes(10_000)));
  await copyAll();
  await cluster.clientFor('larger').setrange('larger', 2_999_999, 'other');
  await source.client.config('RESETSTAT');
  const { report } = await verify();
  expect(report.differences.map(({ message }) => message)).toEqual([
    '3000000 bytes at the source, 3000004 in the cluster',
  ]);
  const stats = await source.client.info('commandstats');
  const calls = (name: string): number =>
    Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  // No two of them fit into what one question may bring; the list's has none to itself.
  expect(calls('mget')).toBeGreaterThanOrEqual(30);
  expect(calls('dump')).toBe(0);
  expect(calls('get')).toBe(0);
});

it('leaves values out with --fast, and looks at a part with --sample', async () => {
  await fillStrings(stage.source, { count: 20_000, valueBytes: 16 });
  await copyAll();
  await stage.cluster.clientFor('key:1').set('key:1', 'other');
  await stage.cluster.clientFor('key:2').del('key:2');
  const fast = await verify('--fast');
  expect(fast.report.differences.map(({ kind, key }) => [kind, key])).toEqual([
    ['missing', 'key:2'],
  ]);
  const { report } = await verify('--sample', '10%');
  expect(report.sample).toBe(0.1);
  expect(report.keys.compared).toBeGreaterThan(1500);
  expect(report.keys.compared).toBeLessThan(2500);
});

it('takes several sources, and knows what none of them has', async () => {
  await using(startServer(), async (other) => {
    await stage.source.client.set('one', 1);
    await other.client.set('two', 2);
    await stage.cluster.clientFor('one').set('one', 1);
    await stage.cluster.clientFor('two').set('two', 2);
    const both = await verify('--from', other.address);
    expect(both).toMatchObject({ code: 0, report: { status: 'equal' } });
    await other.client.del('two');
    const { report } = await verify('--from', other.address);
    expect(report.differences).toMatchObject([{ key: 'two', kind: 'extra' }]);
  });
});

it('leaves a key alone of which two sources have different values', async () => {
  await using(startServer(), async (other) => {
    const { source, cluster } = stage;
    await source.client.mset('shared', 'one', 'same', 'equal', 'of one', '1', 'lacking', 'one');
    await other.client.mset(
      'shared',
      'other',
      'same',
      'equal',
      'of other',
      '2',
      'lacking',
      'other',
    );
    await cluster.clientFor('shared').set('shared', 'one');
    const { code, report } = await verify('--from', other.address, '--repair');
    expect(code).toBe(1);
    expect(await cluster.clientFor('shared').get('shared')).toBe('one');
    expect(await cluster.clientFor('lacking').exists('lacking')).toBe(0);
    expect(await cluster.clientFor('same').get('same')).toBe('equal');
    expect(report.differences.map(({ kind, key }) => `${kind} ${key}`).sort()).toEqual([
      'missing lacking',
      'missing lacking',
      'value shared',
    ]);
    const left = report.differences.find(({ key }) => key === 'shared');
    expect(left?.message).toBe(
      `5 bytes at the source, 3 in the cluster; left as it is, because ${source.address}/0 has another value of it`,
    );
    // Both sources' copies of "same" were missing.
    expect(report.keys.repaired).toBe(4);
  });
});

it('writes differences in a form that an import takes', async () => {
  await fillStrings(stage.source, { count: 300, valueBytes: 16 });
  const file = `${stage.source.directory}/differences.jsonl`;
  expect((await verify('--differences', file)).report.keys.missing).toBe(300);
  const words = [...stage.endpoints, '--copy', '--only-keys', file, '--quiet'];
  expect((await runCli(words)).code).toBe(0);
  expect(await verify()).toMatchObject({ code: 0 });
});

it('finds keys on nodes that do not own their slot, but for those that are on their way', async () => {
  const { source, cluster } = stage;
  const [stray, moving] = ['stray', 'moving'];
  await source.client.mset(stray, 1, moving, 2);
  await cluster.clientFor(stray).set(stray, 1);
  const owner = await cluster.ownerOf(slotOf(stray));
  const other = cluster.masters.find(({ id }) => id !== owner.id) as ClusterNode;
  await other.client.call('CLUSTER', 'SETSLOT', slotOf(stray), 'IMPORTING', owner.id);
  await Promise.all([other.client.call('ASKING'), other.client.set(stray, 1)]);
  await other.client.call('CLUSTER', 'SETSLOT', slotOf(stray), 'STABLE');

  const giver = await cluster.ownerOf(slotOf(moving));
  const taker = cluster.masters.find(({ id }) => id !== giver.id) as ClusterNode;
  const move = await beginSlotMove(cluster, slotOf(moving), taker);
  await Promise.all([taker.client.call('ASKING'), taker.client.set(moving, 2)]);
  try {
    const { code, report } = await verify();
    expect(report.differences).toEqual([
      {
        ...{ key: stray, keyEncoding: 'utf8', kind: 'misplaced' },
        message: `on ${other.address}, but its slot is ${owner.address}'s`,
      },
    ]);
    expect(code).toBe(1);
  } finally {
    await move.finish();
    await moveSlot(cluster, slotOf(moving), giver);
  }
});

it('ends with 3 when a server fails midway, and tells how far it came', async () => {
  await fillStrings(stage.source, { count: 20_000, valueBytes: 64 });
  await using(startProxy(stage.source), async (proxy) => {
    proxy.faults.cutAfterBytes.down = 400_000;
    const { code, report } = await verifyJson([
      ...['--from', proxy.address, '--to', stage.cluster.seed],
      ...['--retry-for', '300ms'],
    ]);
    expect(code).toBe(3);
    expect(report.status).toBe('failed');
    expect(report.error).toContain(proxy.address);
    expect(report.keys.compared).toBeLessThan(20_000);
  });
});

it('finds out before it begins that it may not list keys', async () => {
  await stage.source.client.call(
    ...['ACL', 'SETUSER', 'reader', 'on', 'nopass', '~*', '+@all', '-scan'],
  );
  const { code, stdout, stderr } = await runCli([
    ...['verify', '--from', `redis://reader:any@${stage.source.address}`],
    ...['--to', stage.cluster.seed, '--quiet'],
  ]);
  expect(stderr).toMatch(/scan/i);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});

it('refuses what it cannot begin with, and stops when it is told to', async () => {
  const usage = await runCli(['verify', ...stage.endpoints, '--sample', 'some']);
  expect(usage).toMatchObject({ code: 2, stdout: '' });
  expect(usage.stderr).toMatch(/--sample must be/);
  const noCluster = await runCli([
    'verify',
    '--from',
    stage.cluster.seed,
    '--to',
    stage.source.address,
  ]);
  expect(noCluster).toMatchObject({ code: 2, stdout: '' });
  await fillMixed(stage.source, 60_000);
  await using(startProxy(stage.source), async (proxy) => {
    // A way so long that all of it takes many seconds.
    proxy.faults.delayMs = { up: 15, down: 15 };
    const endpoints = ['--from', proxy.address, '--to', stage.cluster.seed, '--timeout', '10m'];
    const run = startCli(['verify', ...endpoints, '--quiet', '--repair']);
    await run.output(/missing/);
    run.signal('SIGTERM');
    const { code, stdout } = await run.done;
    expect(code).toBe(143);
    expect(stdout).toContain('Interrupted');
    expect(stdout).not.toContain('After the repair');
  });
});
