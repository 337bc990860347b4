/** The databases of one server, into the one that a cluster has. */
import { expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { runCli } from '../../support/cli.js';
import { differences, type Snapshot, snapshot, snapshotOfAll } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const arrived = (): Promise<Snapshot> =>
  snapshotOfAll(stage.cluster.masters.map(({ client }) => client));

async function inDatabase<T>(db: number, work: () => Promise<T>): Promise<T> {
  const { client } = stage.source;
  await client.select(db);
  try {
    return await work();
  } finally {
    await client.select(0);
  }
}

const set = (db: number, key: string, value: string) =>
  inDatabase(db, () => stage.source.client.set(key, value));
const sizeOf = (db: number) => inDatabase(db, () => stage.source.client.dbsize());

it.each(['relay', 'migrate', 'auto'])('moves all of them, by %s', async (mover) => {
  await fillEveryType(stage.source.client);
  await inDatabase(3, () => stage.source.client.hset('hash of 3', 'field', 'value'));
  await inDatabase(9, async () => {
    for (let at = 0; at < 500; at++) await stage.source.client.set(`nine:${String(at)}`, at);
  });
  const before = new Map(
    [
      await snapshot(stage.source.client),
      await inDatabase(3, () => snapshot(stage.source.client)),
      await inDatabase(9, () => snapshot(stage.source.client)),
    ].flatMap((some) => [...some]),
  );
  const { code, report } = await runJson([...stage.endpoints, '--db', 'all', '--mover', mover]);
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(report.from).toEqual([0, 3, 9].map((db) => `${stage.source.address}/${String(db)}`));
  expect(report.sources?.map(({ from, status, keys }) => [from, status, keys.moved])).toEqual([
    [report.from[0], 'complete', report.keys.moved - 501],
    [report.from[1], 'complete', 1],
    [report.from[2], 'complete', 500],
  ]);
  expect(differences(before, await arrived())).toEqual([]);
  for (const db of [0, 3, 9]) expect(await sizeOf(db)).toBe(0);
});

it('moves those that are named, and leaves the others', async () => {
  for (const db of [0, 1, 2, 3]) await set(db, `of ${String(db)}`, 'x');
  expect((await runJson([...stage.endpoints, '--db', '1, 3'])).report.keys.moved).toBe(2);
  expect((await runCli([...stage.endpoints, '--db', '2', '--db', '3', '--replace'])).code).toBe(0);
  expect(await sizeOf(0)).toBe(1);
  expect([...(await arrived()).keys()].sort()).toEqual(['of 1', 'of 2', 'of 3']);
});

it.each(['relay', 'migrate'])('reports keys that several have, by %s', async (mover) => {
  await fillStrings(stage.source, { count: 2000, valueBytes: 20 });
  await set(0, 'both', 'zero');
  await set(5, 'both', 'five');
  await set(0, 'equal', 'in both');
  await set(5, 'equal', 'in both');
  await set(5, 'only five', 'five');
  const args = [...stage.endpoints, '--db', '0,5', '--mover', mover];
  const { code, report } = await runJson(args);
  expect(code).toBe(1);
  expect(report.keys).toMatchObject({ moved: 2004, conflicting: 1, failed: 0 });
  const from = `${stage.source.address}/5`;
  expect(report.failures).toEqual([
    expect.objectContaining({ key: 'both', class: 'conflict', from }),
  ]);
  expect(await stage.cluster.clientFor('both').get('both')).toBe('zero');
  expect(await inDatabase(5, () => stage.source.client.get('both'))).toBe('five');
  expect([await sizeOf(0), await sizeOf(5)]).toEqual([0, 1]);
});

it('lets the first database win over the cluster, and no other over the first', async () => {
  await stage.cluster.clientFor('key').set('key', 'of the cluster');
  await stage.cluster.clientFor('other').set('other', 'of the cluster');
  await set(0, 'key', 'zero');
  await set(4, 'key', 'four');
  await set(4, 'other', 'four');
  const { code, report } = await runJson([...stage.endpoints, '--db', '0,4', '--replace']);
  expect(code).toBe(1);
  expect(report.keys).toMatchObject({ moved: 2, conflicting: 1 });
  expect(await stage.cluster.clientFor('key').get('key')).toBe('zero');
  expect(await stage.cluster.clientFor('other').get('other')).toBe('four');
  expect(await inDatabase(4, () => stage.source.client.get('key'))).toBe('four');
});

it('names keys after where they are from', async () => {
  await set(0, 'key', 'zero');
  await set(7, 'key', 'seven');
  await set(7, '{tag}:key', 'seven');
  const { code } = await runJson([...stage.endpoints, '--db', 'all', '--key-prefix', 'db{db}:']);
  expect(code).toBe(0);
  expect([...(await arrived()).keys()].sort()).toEqual(['db0:key', 'db7:key', 'db7:{tag}:key']);
});

it('goes on with just the keys that failed, each in its database', async () => {
  await set(0, 'key', 'zero');
  await set(6, 'key', 'six');
  const failed = `${stage.source.directory}/failed.jsonl`;
  const both = [...stage.endpoints, '--db', '0,6'];
  expect((await runCli([...both, '--failed-keys', failed])).code).toBe(1);
  const { code, report } = await runJson([...both, '--only-keys', failed, '--replace']);
  expect(code).toBe(0);
  expect(report.keys.moved).toBe(1);
  expect(await stage.cluster.clientFor('key').get('key')).toBe('six');
});

it.each([
  [['--db', 'x'], /: --db must be numbers with commas between them/],
  [['--db', '0,all'], /: --db must be numbers/],
  [['--db', '99'], /99/],
  [['--db', '1,1,1', '--from', 'DUPLICATE'], /is named twice: name each source once/],
])('refuses %j', async (words, sentence) => {
  const args = words.map((word) => (word === 'DUPLICATE' ? stage.source.address : word));
  const { code, stderr } = await runCli([...stage.endpoints, ...args, '--quiet']);
  expect(code).toBe(2);
  expect(stderr).toMatch(sentence);
});

it('refuses a database that is said twice', async () => {
  const from = ['--from', `${stage.source.address}/3`, '--to', stage.cluster.seed];
  const { code, stderr } = await runCli([...from, '--db', '0', '--quiet']);
  expect(code).toBe(2);
  expect(stderr).toMatch(/contradict each other/);
});

it('tells of databases that were not asked for, and would be forgotten', async () => {
  await set(0, 'zero', '0');
  await set(3, 'three', '3');
  const { code, report } = await runJson(stage.endpoints);
  expect(code).toBe(0);
  expect(report.warnings).toEqual([expect.stringMatching(/has keys in database 3 too.*--db all/)]);
});

it('goes on by the same command once one of all databases is empty', async () => {
  await set(0, 'both', 'zero');
  await set(3, 'both', 'three');
  await set(3, 'three', '3');
  const all = [...stage.endpoints, '--db', 'all'];
  expect((await runCli(all)).code).toBe(1);
  expect(await stage.source.client.dbsize()).toBe(0);
  const { code, report } = await runJson(all);
  // What the first run left as a conflict is one still: nothing was overwritten.
  expect([code, report.keys.conflicting]).toEqual([1, 1]);
  expect(report.earlier).toEqual({ runs: 1, moved: 2 });
  expect(await stage.cluster.clientFor('both').get('both')).toBe('zero');
});
