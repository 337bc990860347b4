/**
 * `--verify`: what has arrived is compared before it is deleted at the source. Differences come from a
 * proxy in front of the nodes that changes a value on its way.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { runCli } from '../../support/cli.js';
import { snapshot } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { setFolder } from '../../support/folder.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { saveTo } from '../../support/rdb.js';
import { runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const path = setFolder();
let proxies: readonly Proxy[];

beforeAll(async () => {
  proxies = await Promise.all(stage.cluster.masters.map(startProxy));
});
afterAll(() => Promise.all(proxies.map((proxy) => proxy.stop())));
beforeEach(() => {
  for (const { faults } of proxies) faults.corrupt = undefined;
});

const viaProxies = (): string[] => [
  ...['--verify', '--to', stage.cluster.seed],
  ...stage.cluster.masters.flatMap((node, at) => [
    '--nat',
    `${node.address}=${proxies[at]?.address ?? ''}`,
  ]),
];
const args = (...more: string[]): string[] => [
  ...['--from', stage.source.address],
  ...viaProxies(),
  ...more,
];

/** The first of these bytes on their way to any node are others when they get there. */
function spoil(wanted: string, instead: string, meanwhile?: () => Promise<unknown>): void {
  for (const proxy of proxies) {
    proxy.faults.corrupt = (chunk, direction) => {
      const at = direction === 'up' ? chunk.indexOf(wanted) : -1;
      if (at === -1) return chunk;
      proxy.faults.corrupt = undefined;
      if (meanwhile) {
        proxy.stall();
        void meanwhile().finally(() => {
          proxy.resume();
        });
      }
      const changed = Buffer.from(chunk);
      changed.write(instead, at, 'latin1');
      return changed;
    };
  }
}

it('moves every type, and says why not by MIGRATE', async () => {
  await fillEveryType(stage.source.client);
  await fillStrings(stage.source, { count: 3000, valueBytes: 64, prefix: 'string:' });
  const before = await snapshot(stage.source.client);
  const { code, report } = await runJson(args());
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(report.mover).toBe('relay');
  expect(report.moverReason).toContain('--verify');
  expect(await stage.missingIn(before)).toEqual([]);
  expect(await stage.source.client.dbsize()).toBe(0);

  const refused = await runCli(args('--mover', 'migrate', '--replace'));
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('MIGRATE deletes before anything could be compared (--verify)');
});

it('compares under new names, and what travels element by element', async () => {
  await fillEveryType(stage.source.client);
  const keys = await stage.source.client.dbsize();
  const { code, report } = await runJson(
    args('--copy', '--key-prefix', 'new:', '--split-above', '1'),
  );
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(await stage.cluster.size()).toBe(keys);
});

describe('a copy that differs', () => {
  beforeEach(async () => {
    await fillStrings(stage.source, { count: 200, valueBytes: 20, prefix: 'string:' });
    await stage.source.client.set('spoilt', 'a value like no other');
  });

  it('leaves its key at the source, and takes the others', async () => {
    spoil('a value like no other', 'A value');
    const { code, report } = await runJson(args());
    expect(code).toBe(1);
    expect(report.keys).toMatchObject({ moved: 200, failed: 1 });
    expect(report.failures).toMatchObject([{ key: 'spoilt', class: 'differs' }]);
    expect(report.failures[0]?.message).toMatch(
      /is not what the source has \(.*\): the key was left at the source/,
    );
    expect(await stage.source.client.keys('*')).toEqual(['spoilt']);
    expect(await stage.source.client.get('spoilt')).toBe('a value like no other');
  });

  it('is found by a user who may run no scripts too', async () => {
    const { client } = stage.source;
    await client.call('ACL', 'SETUSER', 'u', 'on', '>p', '~*', '+@all', '-@scripting');
    spoil('a value like no other', 'A value');
    const { port } = stage.source;
    const from = ['--from', `redis://u:p@127.0.0.1:${String(port)}`];
    const { code, report } = await runJson([...from, ...viaProxies()]);
    expect(code).toBe(1);
    expect(report.keys).toMatchObject({ moved: 200, failed: 1 });
    expect(report.failures).toMatchObject([{ key: 'spoilt', class: 'differs' }]);
    expect(await client.keys('*')).toEqual(['spoilt']);
  });

  it('is found in a copy, and where no guard is asked for', async () => {
    for (const flag of ['--copy', '--no-guard']) {
      spoil('a value like no other', 'A value');
      const { code, report } = await runJson(args(flag));
      expect(code).toBe(1);
      expect(report.failures).toMatchObject([{ key: 'spoilt', class: 'differs' }]);
      expect(await stage.source.client.get('spoilt')).toBe('a value like no other');
      await stage.cluster.flush();
    }
  });

  it('is moved again if it was the source that was written to', async () => {
    spoil('a value like no other', 'a', () => stage.source.client.set('spoilt', 'written anew'));
    const { code, report } = await runJson(args());
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    expect(await stage.cluster.clientFor('spoilt').get('spoilt')).toBe('written anew');
    expect(await stage.source.client.dbsize()).toBe(0);
  });

  it('is told of where it came from a dump', async () => {
    await stage.source.client.rpush('list', 'an element like no other', 'another');
    const file = await saveTo(path('dump.rdb'), stage.source);
    spoil('a value like no other', 'A value');
    const first = await runJson(['--from', file, ...viaProxies()]);
    expect(first.code).toBe(1);
    expect(first.report.keys).toMatchObject({ moved: 201, failed: 1 });
    expect(first.report.failures).toMatchObject([{ key: 'spoilt', class: 'differs' }]);
    expect(first.report.failures[0]?.message).toContain('is not what the file has');
  });
});

it('compares what a dump brings, of every type', async () => {
  await fillEveryType(stage.source.client);
  const before = await snapshot(stage.source.client);
  const file = await saveTo(path('dump.rdb'), stage.source);
  const { code, report } = await runJson(['--from', file, ...viaProxies()]);
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(await stage.missingIn(before)).toEqual([]);
});
