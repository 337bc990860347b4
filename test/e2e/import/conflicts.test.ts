/** What becomes of keys that the cluster already has, and of what a run that was cut off left there. */
import { beforeEach, describe, expect, it } from 'vitest';
import { snapshot } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const atCluster = (key: string) => stage.cluster.clientFor(key);

/** Sets names and values on all nodes, and gives back what they were. */
async function configure(settings: readonly string[]): Promise<readonly string[]> {
  if (settings.length === 0) return [];
  const names = settings.filter((__, at) => at % 2 === 0);
  const before = await stage.cluster.masters[0]?.client.call('CONFIG', 'GET', ...names);
  for (const { client } of stage.cluster.masters) await client.call('CONFIG', 'SET', ...settings);
  return before as string[];
}

describe.each(['relay', 'migrate'])('with %s', (mover) => {
  const run = (...more: string[]) => runJson([...stage.endpoints, '--mover', mover, ...more]);

  describe('when both sides have a key', () => {
    beforeEach(async () => {
      await stage.source.client.mset({ both: 'of the source', other: 'of the source' });
      await atCluster('both').set('both', 'of the cluster', 'EX', 5000);
      await atCluster('unrelated').set('unrelated', 'of the cluster');
    });

    it('overwrites it with --replace', async () => {
      const { code, report } = await run('--replace');
      expect(code).toBe(0);
      expect(report.keys).toMatchObject({ scanned: 2, moved: 2, conflicting: 0 });
      expect(await atCluster('both').get('both')).toBe('of the source');
      expect(await atCluster('both').ttl('both')).toBe(-1);
      expect(await atCluster('unrelated').get('unrelated')).toBe('of the cluster');
      expect(await stage.source.client.dbsize()).toBe(0);
    });

    it.each([
      ['moving', []],
      ['copying', ['--copy']],
    ])('leaves it alone on both sides with --no-replace, %s', async (_, flags) => {
      const { code, report } = await run('--no-replace', ...flags);
      expect(code).toBe(1);
      expect(report.status).toBe('incomplete');
      expect(report.keys).toMatchObject({ scanned: 2, moved: 1, conflicting: 1, failed: 0 });
      expect(report.failures).toEqual([
        expect.objectContaining({ key: 'both', keyEncoding: 'utf8', class: 'conflict' }),
      ]);
      expect(JSON.stringify(report)).not.toContain('of the source');
      expect(await stage.source.client.get('both')).toBe('of the source');
      expect(await atCluster('both').get('both')).toBe('of the cluster');
      expect(await atCluster('both').ttl('both')).toBeGreaterThan(4000);
      expect(await stage.source.client.exists('other')).toBe(flags.length);
    });
  });

  it('reports keys that are no text in base64', async () => {
    const key = Buffer.from([0xff, 0, 0xfe]);
    await stage.source.client.set(key, 'of the source');
    await stage.cluster.clientFor(key).set(key, 'of the cluster');
    const { report } = await run('--no-replace');
    expect(report.failures).toEqual([
      expect.objectContaining({ key: key.toString('base64'), keyEncoding: 'base64' }),
    ]);
  });

  it('lists the first hundred of many conflicts, and counts all', async () => {
    const keys = Array.from({ length: 250 }, (_, at) => `key:${String(at)}`);
    for (const key of keys) {
      await stage.source.client.set(key, 'of the source');
      await atCluster(key).set(key, 'of the cluster');
    }
    await stage.source.client.set('another', 'x');
    const { code, report } = await run('--no-replace');
    expect(code).toBe(1);
    expect(report.keys).toMatchObject({ scanned: 251, moved: 1, conflicting: 250 });
    expect(report.failures).toHaveLength(100);
    expect(await stage.source.client.dbsize()).toBe(250);
  });

  it.each([
    ['the same', {}],
    [
      'kept in other encodings',
      {
        'hash-max-listpack-entries': '1',
        'zset-max-listpack-entries': '1',
        'set-max-intset-entries': '1',
        'list-max-listpack-size': '2',
        'list-compress-depth': '1',
      },
    ],
  ])('removes from the source what the cluster has already, %s', async (_, config) => {
    const settings = Object.entries(config).flat();
    const defaults = await configure(settings);
    const count = await fillEveryType(stage.source.client);
    const before = await snapshot(stage.source.client);
    expect((await run('--copy')).code).toBe(0);
    await configure(defaults);
    const { code, report } = await run('--no-replace');
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    expect(report.keys).toMatchObject({ scanned: count, moved: count });
    expect(await stage.source.client.dbsize()).toBe(0);
    expect(await stage.missingIn(before)).toEqual([]);
  });

  it.each([
    ['has another TTL', (key: string) => atCluster(key).expire(key, 9000)],
    ['has no TTL', (key: string) => atCluster(key).persist(key)],
    ['has another value', (key: string) => atCluster(key).hset(key, 'field', 'another')],
    ['has more in it', (key: string) => atCluster(key).hset(key, 'one more', 'field')],
    ['has less in it', (key: string) => atCluster(key).hdel(key, 'second')],
    [
      'is of another type',
      async (key: string) => {
        await atCluster(key).del(key);
        await atCluster(key).rpush(key, 'field', 'value', 'second', '2');
        await atCluster(key).expire(key, 5000);
      },
    ],
  ])('takes it for a conflict when the one in the cluster %s', async (_, change) => {
    await stage.source.client.hset('key', 'field', 'value', 'second', '2');
    await stage.source.client.expire('key', 5000);
    expect((await run('--copy')).code).toBe(0);
    await change('key');
    const { code, report } = await run('--no-replace');
    expect(code).toBe(1);
    expect(report.keys).toMatchObject({ scanned: 1, moved: 0, conflicting: 1 });
    expect(await stage.source.client.hget('key', 'field')).toBe('value');
  });
});
