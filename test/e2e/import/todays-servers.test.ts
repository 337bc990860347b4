/**
 * Between the system's Redis, Redis 8 and Valkey 9, which refuse each other's payloads: every type
 * arrives, by whichever way.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findRedis } from '../../../scripts/find-redis.mjs';
import { assess, importKeys, type ImportOptions } from '../../../src/index.js';
import { fillMixed } from '../../support/bulk.js';
import { startCluster, type TestCluster } from '../../support/cluster.js';
import { differences } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { runJson, verifyJson } from '../../support/reports.js';
import { type Server, startServer } from '../../support/servers.js';
import { forgetRuns } from '../../support/state.js';
import { withTools } from '../../support/tools.js';
import { contentsOf } from '../../matrix/contents.js';
import { fieldOf } from '../../matrix/version.js';

const hour = 3_600_000;

withTools(['redis-8', 'valkey-9'], "today's servers", (tools) => {
  const programs: Readonly<Record<string, string>> = {
    ...tools,
    "the system's": findRedis('redis-server') ?? '',
  };

  describe.each([
    ['redis-8', 'valkey-9'],
    ['valkey-9', 'redis-8'],
    ['redis-8', "the system's"],
    ['valkey-9', "the system's"],
    ["the system's", 'valkey-9'],
    ["the system's", 'redis-8'],
  ])('from %s to %s', (from, to) => {
    let source: Server;
    let cluster: TestCluster;

    beforeAll(async () => {
      source = await startServer({ binary: programs[from] ?? '' });
      cluster = await startCluster({ binary: programs[to] ?? '', masters: 2 });
    });
    afterAll(() => Promise.all([source.stop(), cluster.stop()]));
    beforeEach(async () => {
      forgetRuns();
      // A cutover leaves it refusing writes.
      await source.client.config('SET', 'min-replicas-to-write', 0);
      await Promise.all([source.client.flushall(), cluster.flush()]);
    });

    const ends = (): string[] => ['--from', source.address, '--to', cluster.seed];
    /** How often the nodes were asked for a command since they were last asked for this. */
    async function calls(word: string): Promise<number> {
      const counts = await Promise.all(
        cluster.masters.map((node) => fieldOf(node, 'commandstats', `cmdstat_${word}`)),
      );
      return counts.reduce((sum, text) => sum + Number(/calls=(\d+)/.exec(text)?.[1] ?? 0), 0);
    }

    it.each([[[]], [['--verify']], [['--copy']], [['--split-above', '1kb']]])(
      'every type arrives (%j)',
      async (flags) => {
        const count = await fillEveryType(source.client, 'older');
        const before = await contentsOf([source]);
        const { code, report } = await runJson([...ends(), '--mover', 'relay', ...flags]);
        expect(report.failures).toEqual([]);
        expect(report.keys).toMatchObject({ scanned: count, moved: count });
        expect(code).toBe(0);
        expect(differences(before, await contentsOf(cluster.masters))).toEqual([]);
        expect(await source.client.dbsize()).toBe(flags.includes('--copy') ? count : 0);
      },
    );

    it('every type arrives element by element', async () => {
      const count = await fillEveryType(source.client, 'older');
      const before = await contentsOf([source]);
      await Promise.all(cluster.masters.map(({ client }) => client.config('RESETSTAT')));
      const given = { from: source.address, to: cluster.seed, mover: 'relay', byElements: true };
      const report = await importKeys(given as ImportOptions);
      expect(report).toMatchObject({ status: 'complete', failures: [], keys: { moved: count } });
      expect(differences(before, await contentsOf(cluster.masters))).toEqual([]);
      // Small values by payloads that were made of their elements.
      expect(await calls('restore')).toBeGreaterThan(10);
    });

    it('payloads pass where the types are known, and are called equal', async () => {
      if ([from, to].includes("the system's")) return;
      await fillMixed(source, 3000);
      await Promise.all(cluster.masters.map(({ client }) => client.config('RESETSTAT')));
      const { report } = await runJson([...ends(), '--copy']);
      expect(report).toMatchObject({ status: 'complete', mover: 'relay', failures: [] });
      expect(report.moverReason).toContain('payloads are passed on as version 11');
      expect(await calls('restore')).toBeGreaterThanOrEqual(2500);
      for (const word of ['hset', 'hmset', 'rpush', 'sadd', 'zadd', 'xadd', 'renamenx']) {
        expect(await calls(word), word).toBe(0);
      }
      const { code, report: verified } = await verifyJson(ends());
      expect(verified).toMatchObject({ status: 'equal', keys: { compared: 3000 } });
      expect(code).toBe(0);
    });

    it('is followed until it is cut over', async () => {
      await fillMixed(source, 1000);
      const running = runJson([...ends(), '--follow', '--cutover', 'auto']);
      for (let at = 0; at < 200; at++) {
        await source.client.hset(`late:${String(at)}`, 'field', at).catch(() => undefined);
      }
      const { code, report } = await running;
      expect(report).toMatchObject({ status: 'complete', mode: 'follow', failures: [] });
      expect(code).toBe(0);
      const held = await contentsOf([source]);
      expect(differences(held, await contentsOf(cluster.masters))).toEqual([]);
    });

    it('vector sets stay, and are named', async () => {
      if (from !== 'redis-8') return;
      await source.client.call('VADD', 'vectors', 'VALUES', 3, '1', '2', '3', 'element');
      await source.client.set('usual', 'value');
      const { plan, findings, status } = await assess({ from: source.address, to: cluster.seed });
      expect(plan?.ways).toContainEqual({
        ...{ way: 'stays', type: 'vectorset', keys: 1 },
        why: 'the nodes refuse its payload',
      });
      expect(findings.map(({ message }) => message)).toContain(
        'About 1 key of type vectorset would stay at the source: the nodes refuse its payload.',
      );
      expect(status).toBe('cannot-move');
      const { report } = await runJson(ends());
      expect(report.keys).toMatchObject({ scanned: 2, moved: 1, failed: 1 });
      expect(report.failures).toEqual([
        expect.objectContaining({
          key: 'vectors',
          class: 'version',
          message: expect.stringContaining('its type is vectorset') as unknown,
        }),
      ]);
      expect(await source.client.keys('*')).toEqual(['vectors']);
    });

    it('fields keep their deadlines, or their hash is named and stays', async () => {
      if (from === "the system's") return;
      await source.client.hset('plain', 'a', '1');
      await source.client.hset('fields', 'a', '1', 'b', '2');
      await source.client.call('HPEXPIRE', 'fields', hour, 'FIELDS', 1, 'a');
      // So that TTLs are asked for, and nothing else tells of fields beforehand.
      await source.client.set('expiring', 'value', 'PX', hour);
      const { plan } = await assess({ from: source.address, to: cluster.seed });
      const isKept = to !== "the system's";
      expect(plan?.ways).toHaveLength(3);
      expect(plan?.ways).toContainEqual({ way: 'whole', type: 'string', keys: 1 });
      expect(plan?.ways).toContainEqual({ way: 'rewritten', type: 'hash', keys: 1 });
      expect(plan?.ways).toContainEqual(
        expect.objectContaining({ way: isKept ? 'elements' : 'stays', type: 'hash', keys: 1 }),
      );
      const { report } = await runJson(ends());
      if (to === "the system's") {
        expect(report.keys).toMatchObject({ scanned: 3, moved: 2, failed: 1 });
        expect(report.failures).toEqual([
          expect.objectContaining({ key: 'fields', class: 'version' }),
        ]);
        expect(await source.client.keys('*')).toEqual(['fields']);
        return;
      }
      expect(report.keys).toMatchObject({ scanned: 3, moved: 3 });
      const at = cluster.clientFor('fields');
      const [a, b] = (await at.call('HPTTL', 'fields', 'FIELDS', 2, 'a', 'b')) as number[];
      expect(a).toBeGreaterThan(hour - 60_000);
      expect(b).toBe(-1);
    });
  });

  describe('giants of Redis 8', () => {
    let source: Server;
    let cluster: TestCluster;

    beforeAll(async () => {
      source = await startServer({ binary: tools['redis-8'] });
      cluster = await startCluster({ binary: tools['redis-8'], masters: 1 });
    });
    afterAll(() => Promise.all([source.stop(), cluster.stop()]));
    beforeEach(async () => {
      forgetRuns();
      await Promise.all([source.client.flushall(), cluster.flush()]);
      await fillMixed(source, 500);
      for (const { client } of [source, ...cluster.masters]) await client.config('RESETSTAT');
    });

    async function fillGiants(): Promise<void> {
      const fields = Array.from({ length: 20_000 }, (_, at) => [`field ${String(at)}`, at]).flat();
      await source.client.hset('giant:hash', ...fields);
      await source.client.setrange('giant:string', 16 * 1024 * 1024, 'end');
    }

    const calls = async (server: Server, word: string): Promise<number> => {
      const text = await fieldOf(server, 'commandstats', `cmdstat_${word}`);
      return Number(/calls=(\d+)/.exec(text)?.[1] ?? 0);
    };

    it('travel in slices, without being asked for', async () => {
      await fillGiants();
      const before = await contentsOf([source]);
      const { report, code } = await runJson(['--from', source.address, '--to', cluster.seed]);
      expect([report.failures, code, report.mover]).toEqual([[], 0, 'relay']);
      expect(report.moverReason).toContain('so large that they have to travel in slices');
      expect(differences(before, await contentsOf(cluster.masters))).toEqual([]);
      const node = cluster.masters[0] as Server;
      expect(await calls(node, 'hmset')).toBeGreaterThan(1);
      expect(await calls(node, 'append')).toBeGreaterThan(1);
    });

    it('are nothing that each key is asked about where there are none', async () => {
      await runJson(['--from', source.address, '--to', cluster.seed, '--mover', 'relay']);
      expect(await cluster.size()).toBe(500);
      expect(await calls(source, 'memory\\|usage')).toBe(0);
    });

    it('travel in one piece for a user who may not do otherwise', async () => {
      await fillGiants();
      const { client } = source;
      await client.call('ACL', 'SETUSER', 'plain', 'on', '>secret', '~*', '+@all', '-hscan');
      const from = `redis://plain:secret@${source.address}`;
      const { report, code } = await runJson(['--from', from, '--to', cluster.seed]);
      expect([report.failures, code]).toEqual([[], 0]);
      expect(await cluster.clientFor('giant:hash').hlen('giant:hash')).toBe(20_000);
    });
  });

  it('vector sets go from one Redis 8 to another', async () => {
    const binary = tools['redis-8'];
    const source = await startServer({ binary });
    const cluster = await startCluster({ binary, masters: 1 });
    try {
      await source.client.call('VADD', 'vectors', 'VALUES', 3, '1', '2', '3', 'element');
      const before = await source.client.call('VEMB', 'vectors', 'element');
      const { plan, status } = await assess({ from: source.address, to: cluster.seed });
      expect(plan?.ways).toEqual([{ way: 'whole', type: 'vectorset', keys: 1 }]);
      expect(status).toBe('can-move');
      const { report } = await runJson(['--from', source.address, '--to', cluster.seed]);
      expect(report).toMatchObject({ status: 'complete', keys: { moved: 1 } });
      const after = await cluster.clientFor('vectors').call('VEMB', 'vectors', 'element');
      expect(after).toEqual(before);
    } finally {
      await Promise.all([source.stop(), cluster.stop()]);
    }
  });
});
