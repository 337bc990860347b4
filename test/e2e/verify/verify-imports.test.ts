/**
 * Verifying what imports have done that renamed keys or took only some, that came from several places,
 * or from files: nothing is missing that was to be there, and nothing extra that is not theirs.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { findRedis } from '../../../scripts/find-redis.mjs';
import type { VerifyReport } from '../../../src/verify/verify-report.js';
import { copyCommands, saveTo } from '../../support/rdb.js';
import { runCli } from '../../support/cli.js';
import { type ClusterNode, startCluster } from '../../support/cluster.js';
import { fillEveryType } from '../../support/every-type.js';
import { setFolder } from '../../support/folder.js';
import { type Verified, verifyJson } from '../../support/reports.js';
import { beginSlotMove } from '../../support/reshard.js';
import { startServer, using } from '../../support/servers.js';
import { slotOf } from '../../support/keys.js';
import { setStage } from '../../support/stage.js';

const stage = setStage({ source: { config: ['appendonly yes', 'save ""'] } });
const path = setFolder();
const server = ['--redis-server', findRedis('redis-server') ?? ''];

const verify = (...words: string[]): Promise<Verified> =>
  verifyJson(['--to', stage.cluster.seed, ...words]);

async function copyFrom(...words: string[]): Promise<void> {
  const args = ['--to', stage.cluster.seed, '--copy', '--quiet', '--replace', ...words];
  const { code, stderr } = await runCli(args);
  expect(stderr).toBe('');
  expect(code).toBe(0);
}

const found = ({ differences }: VerifyReport): string[] =>
  differences.map(({ kind, key }) => `${kind} ${key}`).sort();

async function expectEqual(keys: number, ...words: string[]): Promise<void> {
  const { code, report } = await verify(...words);
  expect(found(report)).toEqual([]);
  expect(report.keys.compared).toBe(keys);
  expect(code).toBe(0);
}

it('knows keys again that were renamed, and leaves those of others alone', async () => {
  const keys = await fillEveryType(stage.source.client);
  const from = ['--from', stage.source.address, '--key-prefix', 'db{db}:'];
  await copyFrom(...from);
  await stage.cluster.clientFor('of others').set('of others', 'x');
  await expectEqual(keys, ...from);

  await stage.cluster.clientFor('db0:string:raw').set('db0:string:raw', 'other');
  await stage.cluster.clientFor('db0:hash:table').hset('db0:hash:table', 'field 3', 'other');
  await stage.cluster.clientFor('db0:list:long').lset('db0:list:long', 77, 'other');
  await stage.cluster.clientFor('db0:set:strings').del('db0:set:strings');
  await stage.cluster.clientFor('db0:more').set('db0:more', 'x');
  const wanted = ['missing set:strings', 'value hash:table', 'value list:long', 'value string:raw'];
  const { code, report } = await verify(...from);
  expect(code).toBe(1);
  expect(found(report)).toEqual(['extra db0:more', ...wanted].sort());

  const repaired = await verify(...from, '--repair');
  expect(found(repaired.report)).toEqual(['extra db0:more']);
});

it('compares only what was wanted', async () => {
  const { client } = stage.source;
  await client.mset('a:1', 'x', 'a:2', 'x', 'a:not', 'x', 'b:1', 'x');
  await client.rpush('a:list', 'x');
  const from = ['--from', stage.source.address];
  const wanted = ['--match', 'a:*', '--exclude', '*not', '--type', 'string'];
  await copyFrom(...from, ...wanted);
  await expectEqual(2, ...from, ...wanted);
  for (const key of ['b:of others', 'a:extra', 'a:extra:not']) {
    await stage.cluster.clientFor(key).set(key, 'x');
  }
  await stage.cluster.clientFor('a:set').sadd('a:set', 'x');
  await stage.cluster.clientFor('a:2').set('a:2', 'other');
  const { report } = await verify(...from, ...wanted);
  expect(found(report)).toEqual(['extra a:extra', 'value a:2']);
});

it('compares several databases of several servers, each under its own names', async () => {
  await using(startServer(), async (other) => {
    for (const [at, { client }] of [stage.source, other].entries()) {
      await client.mset('both', `of ${String(at)}`, `only:${String(at)}`, 'x');
      await client.select(3);
      await client.set('both', `of ${String(at)}, three`);
      await client.select(0);
    }
    const from = [stage.source.address, other.address].flatMap((address) => ['--from', address]);
    const words = [...from, '--db', 'all', '--key-prefix', '{from}/{db}:'];
    await copyFrom(...words);
    await expectEqual(6, ...words);
    const name = `${other.address}/3:both`;
    await stage.cluster.clientFor(name).set(name, 'other');
    const { report } = await verify(...words);
    expect(found(report)).toEqual(['value both']);
    const repaired = await verify(...words, '--repair');
    expect(found(repaired.report)).toEqual([]);
    expect(await stage.cluster.clientFor(name).get(name)).toBe('of 1, three');
  });
});

it('compares the masters of a cluster', async () => {
  await using(startCluster({ masters: 2 }), async (old) => {
    for (let at = 0; at < 200; at++) {
      const key = `key:${String(at)}`;
      const client = old.clientFor(key);
      await (at % 3 === 0 ? client.rpush(key, 'x', at) : client.set(key, at));
    }
    const from = ['--from-cluster', old.seed];
    await copyFrom(...from);
    await expectEqual(200, ...from);
    await stage.cluster.clientFor('key:3').lset('key:3', 0, 'other');
    await stage.cluster.clientFor('key:4').del('key:4');
    await stage.cluster.clientFor('extra').set('extra', 'x');
    const { report } = await verify(...from);
    expect(found(report)).toEqual(['extra extra', 'missing key:4', 'value key:3']);
    const refused = await runCli(['verify', '--to', stage.cluster.seed, ...from, '--repair']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("--repair can't copy from --from-cluster");
  });
});

it('reports keys that lie on a node which does not own their slot, and compares the others', async () => {
  await using(startCluster({ masters: 2 }), async (old) => {
    for (let at = 0; at < 100; at++)
      await old.clientFor(`key:${String(at)}`).set(`key:${String(at)}`, at);
    const from = ['--from-cluster', old.seed];
    await copyFrom(...from);
    const otherThan = (owner: ClusterNode): ClusterNode =>
      old.masters.find(({ id }) => id !== owner.id) as ClusterNode;

    async function putStray(key: string, value: string): Promise<ClusterNode> {
      const owner = await old.ownerOf(slotOf(key));
      const { client } = otherThan(owner);
      await client.call('CLUSTER', 'SETSLOT', slotOf(key), 'IMPORTING', owner.id);
      await Promise.all([client.call('ASKING'), client.set(key, value)]);
      return owner;
    }

    const owner = await putStray('key:1', 'stale');
    await otherThan(owner).client.call('CLUSTER', 'SETSLOT', slotOf('key:1'), 'STABLE');
    // This slot stays open, as a node that finds such keys when it starts leaves it.
    await putStray('key:2', 'stale');
    // This one is on its way, and the key is there already.
    const moving = await old.ownerOf(slotOf('key:3'));
    await beginSlotMove(old, slotOf('key:3'), otherThan(moving));
    const { host, port } = otherThan(moving);
    await moving.client.call('MIGRATE', host, port, 'key:3', 0, 5000);
    await stage.cluster.clientFor('key:4').del('key:4');

    const { code, report } = await verify(...from);
    expect(found(report)).toEqual(['misplaced key:1', 'missing key:4', 'value key:2']);
    expect(code).toBe(1);
    const [closed, open] = ['key:1', 'key:2'].map(
      (name) => report.differences.find(({ key }) => key === name)?.message,
    );
    const words = `its slot ${String(slotOf('key:1'))} is ${owner.address}'s`;
    expect(closed).toContain(`it lies on ${otherThan(owner).address}, but ${words}`);
    expect(closed).toContain(`"cluster-import check --to ${owner.address} --fix-keys"`);
    expect(open).toMatch(/^byte 0 of|^\d+ bytes .*it lies on .* --fix-keys/);
    expect(report.keys.compared).toBe(102);
    const fast = await verify(...from, '--fast');
    expect(found(fast.report)).toEqual(['misplaced key:1', 'missing key:4']);
  });
});

it('compares dumps, as a server loads them', async () => {
  const keys = await fillEveryType(stage.source.client);
  const dump = await saveTo(path('dump.rdb'), stage.source);
  const packed = path('dump.rdb.gz');
  writeFileSync(packed, gzipSync(readFileSync(dump)));
  await copyFrom('--from', dump);
  for (const file of [dump, packed]) await expectEqual(keys, '--from', file, ...server);
  await stage.cluster.clientFor('string:raw').set('string:raw', 'other');
  const { report } = await verify('--from', dump, ...server);
  expect(found(report)).toEqual(['value string:raw']);
  expect(report.from).toEqual([dump]);
  const refused = await runCli(['verify', '--to', stage.cluster.seed, '--from', '-']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('can be read only once');
});

it('compares append-only files with what was taken of them', async () => {
  await fillEveryType(stage.source.client);
  const commands = copyCommands(path('appendonly.aof'), stage.source);
  const selected = ['--match', 'string:*', '--key-prefix', 'new:', ...server];
  await copyFrom('--from', commands, ...selected);
  await expectEqual(12, '--from', commands, ...selected);
});
