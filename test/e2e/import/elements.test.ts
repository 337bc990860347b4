/** Values that travel element by element arrive as they were: whole, or not at all. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { importKeys } from '../../../src/index.js';
import type { GivenOptions } from '../../../src/options/options.js';
import type { Report } from '../../../src/report.js';
import { fillMixed } from '../../support/bulk.js';
import { startCli } from '../../support/cli.js';
import { snapshot } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { stallAfter } from '../../support/hold.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { reportOf } from '../../support/reports.js';
import { startCluster } from '../../support/cluster.js';
import { using } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { readStream, sameDeliveries } from '../../support/streams.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const atCluster = (key: string): Redis => stage.cluster.clientFor(key);

/** Streams are compared by themselves: of their consumers' times not all can be kept. */
const streams = ['stream', 'stream:empty', 'stream:emptied', 'ttl:stream'];

/** `byElements` is for tests alone: no type that programs see has it. */
function run(
  options: Partial<GivenOptions> & { readonly byElements?: boolean } = {},
): Promise<Report> {
  const endpoints = { from: stage.source.address, to: stage.cluster.seed };
  const given = { ...endpoints, byElements: true, ...options };
  return importKeys(given);
}

async function missing(before: Awaited<ReturnType<typeof snapshot>>): Promise<readonly string[]> {
  const sentences = await stage.missingIn(before);
  return sentences.filter((text) => !/^"stream\S*" holds/.test(text));
}

async function leftAside(): Promise<readonly string[]> {
  const keys = await Promise.all(
    stage.cluster.masters.map(({ client }) => client.keys('cluster-import:*')),
  );
  return keys.flat();
}

describe.each([
  ['where no payload is taken', { byElements: true }],
  ['above a size', { byElements: false, splitAboveBytes: 1 }],
])('%s', (_, options) => {
  it('moves every type', async () => {
    const count = await fillEveryType(stage.source.client);
    const before = await snapshot(stage.source.client);
    const held = await Promise.all(streams.map((key) => readStream(stage.source.client, key)));
    const report = await run(options);
    expect(report.failures).toEqual([]);
    expect(report.keys).toMatchObject({ scanned: count, moved: count });
    expect(report).toMatchObject({ status: 'complete', mover: 'relay' });
    expect(await missing(before)).toEqual([]);
    for (const [at, key] of streams.entries()) {
      const { deliveredMs, ...found } = await readStream(atCluster(key), key);
      const { deliveredMs: wantedMs, ...wanted } = held[at] ?? { deliveredMs: [] };
      expect(found).toEqual(wanted);
      expect(deliveredMs).toHaveLength(wantedMs.length);
    }
    expect(await stage.source.client.dbsize()).toBe(0);
    expect(await leftAside()).toEqual([]);
  });

  it('copies every type, and leaves the source as it is', async () => {
    const count = await fillEveryType(stage.source.client);
    const before = await snapshot(stage.source.client);
    const report = await run({ ...options, copy: true });
    expect(report.keys).toMatchObject({ scanned: count, moved: count });
    expect(await missing(before)).toEqual([]);
    expect(await stage.changedAtSource(before)).toEqual([]);
  });

  it('overwrites what the cluster has with --replace', async () => {
    await stage.source.client.rpush('both', 'of', 'the', 'source');
    await atCluster('both').sadd('both', 'of the cluster');
    await atCluster('both').expire('both', 5000);
    const report = await run({ ...options, replace: true });
    expect(report.keys).toMatchObject({ moved: 1, conflicting: 0 });
    expect(await atCluster('both').lrange('both', 0, -1)).toEqual(['of', 'the', 'source']);
    expect(await atCluster('both').ttl('both')).toBe(-1);
  });

  it('leaves what the cluster has alone with --no-replace, and deletes what is equal', async () => {
    await stage.source.client.rpush('both', 'of the source');
    await stage.source.client.sadd('equal', 'a', 'b');
    await atCluster('both').rpush('both', 'of the cluster');
    await atCluster('equal').sadd('equal', 'b', 'a');
    const report = await run({ ...options, replace: false });
    expect(report.keys).toMatchObject({ scanned: 2, moved: 1, conflicting: 1 });
    expect(await atCluster('both').lrange('both', 0, -1)).toEqual(['of the cluster']);
    expect(await stage.source.client.keys('*')).toEqual(['both']);
    expect(await leftAside()).toEqual([]);
  });
});

it('stores each small value with one command, and without a name that could be seen', async () => {
  const { client } = stage.source;
  const filling = client.pipeline();
  for (let at = 0; at < 300; at++) {
    filling.hset(`hash:${String(at)}`, 'field', at, 'other', 'value');
    if (at % 3 === 0) filling.pexpire(`hash:${String(at)}`, 3_600_000 + at);
  }
  await filling.exec();
  const before = await snapshot(client);
  const nodes = stage.cluster.masters;
  await Promise.all(nodes.map((node) => node.client.config('RESETSTAT')));
  expect((await run()).keys).toMatchObject({ scanned: 300, moved: 300 });
  const stats = (await Promise.all(nodes.map((node) => node.client.info('commandstats')))).join('');
  const calls = (word: string): number =>
    [...stats.matchAll(new RegExp(`cmdstat_${word}:calls=(\\d+)`, 'g'))].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    );
  expect([calls('restore'), calls('hmset'), calls('renamenx')]).toEqual([300, 0, 0]);
  // The lease of a temporary name.
  expect(calls('pexpire')).toBe(0);
  expect(await missing(before)).toEqual([]);
  expect(await leftAside()).toEqual([]);
});

it('moves a stream with entries that were deleted while pending', async () => {
  const { client } = stage.source;
  for (const id of [1, 2, 3, 4]) await client.xadd('s', `${String(id)}-0`, 'at', id);
  await client.xgroup('CREATE', 's', 'workers', '0');
  await client.xreadgroup('GROUP', 'workers', 'alice', 'COUNT', 3, 'STREAMS', 's', '>');
  await client.xreadgroup('GROUP', 'workers', 'alice', 'STREAMS', 's', '0');
  await client.xreadgroup('GROUP', 'workers', 'bob', 'STREAMS', 's', '>');
  await client.xdel('s', '2-0', '4-0');
  await client.xadd('s', '9-9', 'later', 'on');
  const before = await readStream(client, 's');
  expect((await run()).keys.moved).toBe(1);
  const after = await readStream(atCluster('s'), 's');
  expect(after.entries).toEqual(before.entries);
  expect(after.groups).toEqual(before.groups);
  expect(sameDeliveries(before, after)).toBe(true);
});

it('tells of a type that the cluster does not know, and nothing of what is in it', async () => {
  await stage.source.client.xadd('s', '*', 'field', 'nobody may see this');
  const rename = ['rename-command XADD ""', 'rename-command XGROUP ""'];
  await using(startCluster({ masters: 1, config: rename }), async (old) => {
    const report = await run({ to: old.seed });
    expect(report.keys).toMatchObject({ scanned: 1, moved: 0, failed: 1 });
    expect(report.failures).toEqual([
      expect.objectContaining({
        class: 'version',
        message: expect.stringContaining('XADD') as unknown,
      }),
    ]);
    expect(JSON.stringify(report)).not.toContain('nobody may see this');
    expect(await stage.source.client.xlen('s')).toBe(1);
    expect(await old.size()).toBe(0);
  });
});

it('keeps the deadlines of fields, where servers have them', async () => {
  const { client } = stage.source;
  const known = await client.call('COMMAND', 'INFO', 'HPEXPIRE').then(String);
  await client.hset('hash', 'stays', '1', 'expires', '2');
  if (known !== '') await client.call('HPEXPIRE', 'hash', 100_000, 'FIELDS', 1, 'expires');
  expect((await run()).keys.moved).toBe(1);
  if (known === '') return;
  const left = await atCluster('hash').call('HPTTL', 'hash', 'FIELDS', 2, 'stays', 'expires');
  const [stays, expires] = left as number[];
  expect(stays).toBe(-1);
  expect(expires).toBeGreaterThan(90_000);
});

it('keeps scores to the last bit', async () => {
  const scores = Array.from({ length: 1000 }, () => randomBytes(8).readDoubleBE()).filter(
    (score) => !Number.isNaN(score),
  );
  // Of small ones servers forget the sign of zero; here it must be kept wherever the scan meets it.
  scores.push(...Array.from({ length: 50 }, () => -0));
  const text = (score: number): string =>
    Object.is(score, -0) ? '-0' : String(score).replace('Infinity', 'inf');
  const words = scores.flatMap((score, at) => [text(score), String(at)]);
  await stage.source.client.call('ZADD', 'scores', ...words.slice(0, 1800));
  await stage.source.client.call('ZADD', 'scores', ...words.slice(1800));
  await run();
  const all = ['scores', 0, -1, 'WITHSCORES'] as const;
  const found = (await atCluster('scores').call('ZRANGE', ...all)) as string[];
  const byMember = new Map(found.flatMap((item, at) => (at % 2 ? [] : [[item, found[at + 1]]])));
  for (const [at, score] of scores.entries()) {
    expect(Object.is(Number(byMember.get(String(at))), score)).toBe(true);
  }
});

describe('under writers', () => {
  async function behindProxy(work: (proxy: Proxy) => Promise<void>): Promise<void> {
    const proxy = await startProxy(stage.source);
    try {
      await work(proxy);
    } finally {
      await proxy.stop();
    }
  }

  it.each([
    ['moving', { splitAboveBytes: 1000, byElements: false }],
    ['moving where no payload is taken', {}],
    ['copying', { copy: true }],
    ['copying in slices', { copy: true, splitAboveBytes: 1000, byElements: false }],
  ])('starts again when a key was written to meanwhile, %s', async (_, options) => {
    const { client } = stage.source;
    const members = Array.from({ length: 20_000 }, (__, at) => `member ${String(at)}`);
    await client.rpush('list', ...members);
    await behindProxy(async (proxy) => {
      const halfway = stallAfter(proxy, 200_000);
      const running = run({ from: proxy.address, ...options });
      await halfway;
      // All places shift: what was read already and what comes now do not fit together.
      await client.lpush('list', 'the new first');
      proxy.resume();
      const report = await running;
      expect(report.keys).toMatchObject({ scanned: 1, moved: 1 });
      expect(report.retries).toBeGreaterThan(0);
    });
    const found = await atCluster('list').lrange('list', 0, -1);
    expect(found).toEqual(['the new first', ...members]);
    expect(await leftAside()).toEqual([]);
  });

  it('shows nothing of a value until it is whole, and leaves nothing behind for good', async () => {
    await stage.source.client.sadd(
      'set',
      ...Array.from({ length: 20_000 }, (_, at) => `member ${String(at)}`),
    );
    await behindProxy(async (proxy) => {
      const halfway = stallAfter(proxy, 200_000);
      const words = ['--from', proxy.address, '--to', stage.cluster.seed, '--split-above', '1kb'];
      const cli = startCli([...words, '--json', '--quiet']);
      await halfway;
      const [temporary = ''] = await waitFor('the first slices', async () => {
        const names = await leftAside();
        return names.length > 0 && names;
      });
      expect(await atCluster('set').exists('set')).toBe(0);
      expect(await atCluster('set').pttl(temporary)).toBeGreaterThan(0);
      cli.signal('SIGKILL');
      await cli.done;
      expect(await atCluster('set').exists('set')).toBe(0);
      expect(await stage.source.client.scard('set')).toBe(20_000);
      proxy.resume();
    });
    const again = await startCli([
      ...stage.endpoints,
      ...['--split-above', '1kb', '--replace', '--json', '--quiet'],
    ]).done;
    expect(reportOf(again).report.keys).toMatchObject({ failed: 0, conflicting: 0 });
    expect(await atCluster('set').scard('set')).toBe(20_000);
  });

  it('starts again when the temporary key vanishes half-way', async () => {
    const members = Array.from({ length: 20_000 }, (_, at) => `member ${String(at)}`);
    await stage.source.client.sadd('set', ...members);
    await behindProxy(async (proxy) => {
      const halfway = stallAfter(proxy, 200_000);
      const running = run({ from: proxy.address });
      await halfway;
      const [temporary = ''] = await waitFor('the first slices', async () => {
        const names = await leftAside();
        return names.length > 0 && names;
      });
      await atCluster('set').del(temporary);
      proxy.resume();
      expect((await running).keys).toMatchObject({ scanned: 1, moved: 1 });
    });
    expect(await atCluster('set').scard('set')).toBe(20_000);
  });
});

it('keeps TTLs of many keys, and many small values', async () => {
  await fillMixed(stage.source, 3000);
  const before = await snapshot(stage.source.client);
  expect((await run()).keys).toMatchObject({ scanned: 3000, moved: 3000 });
  expect(await missing(before)).toEqual([]);
});
