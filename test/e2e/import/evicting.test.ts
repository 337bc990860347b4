/**
 * Nodes that evict (`maxmemory` with a policy other than noeviction) take every key, and delete others
 * for it. No key may leave the source for such a node and be gone.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { runCli } from '../../support/cli.js';
import { setFolder } from '../../support/folder.js';
import { startHalfway } from '../../support/halfway.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { saveTo } from '../../support/rdb.js';
import { reportOf, runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const path = setFolder();
const megabyte = 1024 * 1024;

async function info(node: { client: { info(): Promise<string> } }, name: string): Promise<number> {
  const text = await node.client.info();
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)?.[1]);
}

/** Each master gets so much more than it uses. */
async function limitTo(freeBytes: number): Promise<void> {
  for (const node of stage.cluster.masters) {
    const used = await info(node, 'used_memory');
    await node.client.config('SET', 'maxmemory', String(used + freeBytes));
  }
}

/**
 * Fills each master until no more than that is left. What is kept back of a limit of 200 MB is more than all keys of
 * these tests take, so none of what is under way makes a node evict.
 */
async function fillUpTo(leftBytes: (limit: number) => number): Promise<void> {
  const tags = Array.from({ length: 100 }, (_, at) => String(at));
  for (const node of stage.cluster.masters) {
    const tag = tags.find((one) => stage.cluster.clientFor(one) === node.client) ?? '';
    for (let at = 0; ; at++) {
      const limit = await info(node, 'maxmemory');
      const room = limit - (await info(node, 'used_memory')) - leftBytes(limit);
      if (room < 99_000) break;
      // Servers round up what they allocate, by a quarter at most.
      const name = `filler:${String(at)}:{${tag}}`;
      await node.client.setrange(name, Math.floor(room * 0.75), 'x');
    }
  }
}

async function setPolicy(policy: string): Promise<void> {
  for (const { client } of stage.cluster.masters) {
    await client.config('SET', 'maxmemory-policy', policy);
  }
}

async function evictedKeys(): Promise<number> {
  const counts = await Promise.all(stage.cluster.masters.map((one) => info(one, 'evicted_keys')));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Those of the source's keys that are on neither side. */
async function nowhere(prefix: string, count: number): Promise<number> {
  const servers = [stage.source, ...stage.cluster.masters];
  const found = await Promise.all(servers.map(({ client }) => client.keys(`${prefix}*`)));
  return count - new Set(found.flat()).size;
}

beforeEach(async () => {
  for (const { client } of stage.cluster.masters) {
    await client.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'allkeys-lru');
    await client.config('RESETSTAT');
  }
});

describe('before the start', () => {
  const count = 30_000;
  beforeEach(() => fillStrings(stage.source, { count, valueBytes: 200 }));

  it('is refused where there is no room, with the numbers and the way out', async () => {
    await limitTo(megabyte);
    const { code, stdout, stderr } = await runCli(stage.endpoints);
    expect(stderr).toMatch(
      /127\.0\.0\.1:\d+ has too little room: about \d\.\d MB will come, and .* of its maxmemory of .* are free, as have 2 other nodes.*allkeys-lru.*raise maxmemory.*noeviction.*--allow-eviction/,
    );
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stdout).toBe('');
    expect(code).toBe(2);
    expect(await stage.source.client.dbsize()).toBe(count);
    expect(await stage.cluster.size()).toBe(0);
  });

  it('runs where there is room, by the relay', async () => {
    await limitTo(12 * megabyte);
    const { code, report } = await runJson(stage.endpoints);
    expect(code).toBe(0);
    expect(report).toMatchObject({ mover: 'relay', keys: { moved: count } });
    expect(report.warnings).toBeUndefined();
    expect(report.evicted).toBeUndefined();
    expect(await nowhere('key:', count)).toBe(0);
  });

  it('counts neither keys that are not selected nor those that are there already', async () => {
    await limitTo(12 * megabyte);
    expect((await runJson([...stage.endpoints, '--copy'])).code).toBe(0);
    await limitTo(2 * megabyte);
    const again = await runJson([...stage.endpoints, '--copy', '--replace']);
    expect(again.code).toBe(0);
    expect(again.report.warnings?.join()).toContain('too little room');

    await stage.cluster.flush();
    await limitTo(2 * megabyte);
    const some = await runJson([...stage.endpoints, '--match', 'key:1', '--match', 'key:2']);
    expect(some.code).toBe(0);
    expect(some.report.keys.moved).toBe(2);
  });

  it('holds for files as well, by their size', async () => {
    await stage.source.client.config('SET', 'rdbcompression', 'no');
    const file = await saveTo(path('dump.rdb'), stage.source);
    await limitTo(megabyte);
    const { code, stderr } = await runCli(['--from', file, '--to', stage.cluster.seed]);
    expect(stderr).toContain('has too little room');
    expect(code).toBe(2);
  });

  it('is not the matter where only keys with a deadline are evicted, and there are none', async () => {
    await setPolicy('volatile-ttl');
    await limitTo(megabyte);
    const { code, report } = await runJson([...stage.endpoints, '--retry-for', '0']);
    expect(code).toBe(1);
    expect(report.failures[0]?.class).toBe('oom');
    expect(report.warnings?.join()).toMatch(/too little room.*stays at the source/);
    expect(await evictedKeys()).toBe(0);
    expect(await nowhere('key:', count)).toBe(0);

    await stage.cluster.flush();
    // One of those that are there still.
    const left = (await stage.source.client.randomkey()) ?? '';
    expect(await stage.source.client.expire(left, 5000)).toBe(1);
    const refused = await runCli([...stage.endpoints, '--replace']);
    expect(refused.stderr).toMatch(/volatile-ttl/);
    expect(refused.code).toBe(2);
  });

  it('runs with --allow-eviction, and says how much was evicted', async () => {
    await limitTo(megabyte);
    const { code, report } = await runJson([...stage.endpoints, '--allow-eviction']);
    expect(code).toBe(0);
    expect(report.keys.moved).toBe(count);
    const evicted = report.evicted?.reduce((sum, { keys }) => sum + keys, 0) ?? 0;
    expect(evicted).toBeGreaterThan(0);
    expect(evicted).toBe(await evictedKeys());
    expect(report.warnings?.join()).toMatch(/evicted [\d,]+ keys .*--allow-eviction/);
    expect(await nowhere('key:', count)).toBeLessThanOrEqual(evicted);
  });
});

describe.each(['relay', 'migrate'])('midway, with %s', (mover) => {
  const count = 60_000;
  let proxy: Proxy;
  beforeEach(async () => {
    proxy = await startProxy(stage.source);
    await fillStrings(stage.source, { count, valueBytes: 100 });
  });
  afterEach(() => proxy.stop());

  const halfway = () =>
    startHalfway({
      ...{ source: stage.source, proxy, to: stage.cluster.seed },
      words: ['--mover', mover],
    });

  it('stops before another client’s writes make nodes evict', async () => {
    await limitTo(200 * megabyte);
    const run = await halfway();
    await fillUpTo((limit) => limit / 25);
    proxy.resume();
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(3);
    expect(report.error).toMatch(/127\.0\.0\.1:\d+ has .* left, and would begin to evict.*raise/);
    expect(report.keys.moved).toBeLessThan(count);
    expect(await evictedKeys()).toBe(0);
    expect(await nowhere('key:', count)).toBe(0);
  });

  it('stops when maxmemory is set lower', async () => {
    await limitTo(200 * megabyte);
    const run = await halfway();
    await fillUpTo(() => 20 * megabyte);
    await limitTo(6 * megabyte);
    proxy.resume();
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(3);
    expect(report.error).toContain('would begin to evict');
    expect(report.keys.moved).toBeLessThan(count);
    expect(await evictedKeys()).toBe(0);
    expect(await nowhere('key:', count)).toBe(0);
  });

  it('stops when nodes have evicted, and says how many keys', async () => {
    await limitTo(100 * megabyte);
    const run = await halfway();
    const sizes = await Promise.all(stage.cluster.masters.map(({ client }) => client.dbsize()));
    // By MIGRATE few keys have left by then, and not every node has got one.
    const node = stage.cluster.masters[sizes.indexOf(Math.max(...sizes))];
    // What clients' buffers took when it was asked may have been freed when the limit comes.
    await waitFor('keys to be evicted', async () => {
      if (!node) return true;
      const counted =
        (await info(node, 'used_memory')) - (await info(node, 'mem_not_counted_for_evict'));
      await node.client.config('SET', 'maxmemory', String(counted - 50_000));
      return (await evictedKeys()) > 0;
    });
    proxy.resume();
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(3);
    const evicted = await evictedKeys();
    expect(report.error).toContain(`${node?.address ?? ''} ${evicted.toLocaleString('en')}`);
    expect(report.evicted).toEqual([{ address: node?.address, keys: evicted }]);
    // What had been moved when the node was told to evict can't be helped.
    expect(await nowhere('key:', count)).toBeLessThanOrEqual(evicted);
  });

  it('notices within a second where there was no maxmemory at the start', async () => {
    const run = await halfway();
    await limitTo(200_000);
    proxy.faults.delayMs = { up: 0, down: 10 };
    proxy.resume();
    const { code } = reportOf(await run.done);
    expect(code).toBe(3);
    expect(await nowhere('key:', count)).toBeLessThanOrEqual(await evictedKeys());
  });
});
