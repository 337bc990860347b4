/**
 * Values of a module's types: they arrive where the cluster has the module, and are named where it
 * lacks it. The module is RediSearch, whose indexes are such values.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lackingModules, nameTypes } from '../../../src/plan/payloads.js';
import { startCluster, type TestCluster } from '../../support/cluster.js';
import { runJson } from '../../support/reports.js';
import { type Server, startServer } from '../../support/servers.js';
import { forgetRuns } from '../../support/state.js';
import { withTools } from '../../support/tools.js';

withTools(['redisearch'], 'with a real module', ({ redisearch }) => {
  const config = [`loadmodule ${redisearch}`];
  let source: Server;
  let lacking: TestCluster;
  let having: TestCluster;

  beforeAll(async () => {
    [source, lacking, having] = await Promise.all([
      startServer({ config }),
      startCluster({ masters: 1 }),
      startCluster({ masters: 1, config }),
    ]);
  });
  afterAll(() => Promise.all([source, lacking, having].map((one) => one.stop())));
  beforeEach(async () => {
    forgetRuns();
    await Promise.all([source.client.flushall(), lacking.flush(), having.flush()]);
    const { client } = source;
    await client.call('FT.CREATE', 'pages', 'SCHEMA', 'title', 'TEXT');
    const [words, fields] = [
      ['pages', 'page', '1.0'],
      ['title', 'slots and their keys'],
    ];
    await client.call('FT.ADD', ...words, 'FIELDS', ...fields);
    await client.set('usual', 'value');
  });

  /** The index, one key for each word, the page itself, and `usual`. */
  const types = async ({ client }: Server): Promise<Readonly<Record<string, string>>> => {
    const keys = (await client.keys('*')).sort();
    const rows = await Promise.all(keys.map(async (key) => [key, await client.type(key)] as const));
    return Object.fromEntries(rows);
  };

  it.each(['relay', 'migrate'])('its keys stay, and are named, by %s', async (mover) => {
    const before = await types(source);
    expect(before).toMatchObject({ 'idx:pages': 'ft_index0', 'ft:pages/slots': 'ft_invidx' });
    const ends = ['--from', source.address, '--to', lacking.seed];
    const { code, report } = await runJson([...ends, '--mover', mover]);
    expect(code).toBe(1);
    const left = Object.keys(before).filter((key) => before[key]?.startsWith('ft_'));
    expect(report.keys).toMatchObject({ moved: 2, failed: left.length });
    expect(report.warnings?.[0]).toMatch(/module that .* lacks: ft\./);
    for (const { key, message } of report.failures) {
      expect(message).toContain(`its type is ${before[key] ?? ''}`);
    }
    expect(Object.keys(await types(source))).toEqual(left);
  });

  it.each(['relay', 'migrate'])('its keys arrive where the nodes have it, by %s', async (mover) => {
    const before = await types(source);
    const ends = ['--from', source.address, '--to', having.seed];
    const { code, report } = await runJson([...ends, '--mover', mover]);
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    expect(report.warnings).toBeUndefined();
    const [node] = having.masters;
    expect(node && (await types(node))).toEqual(before);
    const found = await node?.client.call('FT.SEARCH', 'pages', 'keys', 'NOCONTENT');
    expect(found).toEqual([1, 'page']);
  });
});

describe('with mocks', () => {
  it('says which modules are lacking where', () => {
    const nodes = [
      { address: 'a:1', modules: new Set(['ReJSON', 'search']) },
      { address: 'b:2', modules: new Set(['search']) },
    ];
    expect(lackingModules(new Set(['ReJSON', 'search']), nodes)).toMatch(/b:2 lacks: ReJSON\./);
    expect(lackingModules(new Set(['search']), nodes)).toBeUndefined();
  });

  it('names the type of what a node could make no sense of', async () => {
    const asked: unknown[] = [];
    const control = {
      call: (...words: unknown[]) => Promise.resolve(asked.push(words) && 'ReJSON-RL'),
    } as never;
    const failure = {
      key: 'doc',
      keyEncoding: 'utf8',
      class: 'version',
      message: 'a:1 answered: ERR Bad data format',
    } as const;
    const other = { ...failure, message: 'a:1 answered: OOM' };
    const named = await nameTypes([failure, other], control);
    expect(named[0]?.message).toMatch(/^its type is ReJSON-RL, which the node does not know/);
    expect(named[1]).toEqual(other);
    expect(asked).toEqual([['TYPE', Buffer.from('doc')]]);
  });
});
