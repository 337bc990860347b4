/** Only some of the keys, and under other names. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { matchesGlob } from '../../../src/sources/glob.js';
import { runCli } from '../../support/cli.js';
import { snapshotOfAll } from '../../support/compare.js';
import { edgeKeys } from '../../support/keys.js';
import { runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();

/** Names of the cluster's keys after a run that took all that was selected. */
async function moved(...flags: string[]): Promise<string[]> {
  const { code, report } = await runJson([...stage.endpoints, ...flags]);
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  const clients = stage.cluster.masters.map(({ client }) => client);
  const names = [...(await snapshotOfAll(clients)).keys()].sort();
  expect(report.keys.moved).toBe(names.length);
  return names;
}

async function fill(): Promise<void> {
  const { client } = stage.source;
  await client.mset('user:1', 'a', 'user:2', 'b', 'user:10', 'c', 'order:1', 'd', 'cache:1', 'e');
  await client.rpush('user:list', 'a', 'b');
  await client.hset('order:hash', 'field', 'value');
  await client.set('user:brief', 'x', 'PX', 600_000);
  await client.set('user:long', 'x', 'EX', 86_400);
}

it.each<[string[], string[]]>([
  [
    ['--match', 'user:?', '--match', 'order:*'],
    ['order:1', 'order:hash', 'user:1', 'user:2'],
  ],
  [
    ['--exclude', 'user:*', '--exclude', 'cache:*'],
    ['order:1', 'order:hash'],
  ],
  [
    ['--match', 'user:*', '--exclude', 'user:[1-9]*', '--min-ttl', '1h'],
    ['user:list', 'user:long'],
  ],
  [
    ['--type', 'list', '--type', 'hash'],
    ['order:hash', 'user:list'],
  ],
])('takes what %j selects, and leaves the rest at the source', async (flags, names) => {
  await fill();
  expect(await moved(...flags)).toEqual(names);
  expect(await stage.source.client.dbsize()).toBe(9 - names.length);
  for (const name of names) expect(await stage.source.client.exists(name)).toBe(0);
});

it('understands patterns as servers do', async () => {
  const { client } = stage.source;
  const signs = fc.constantFrom(...Array.from('abc*?[]^-\\'));
  const patterns = fc.string({ unit: signs, minLength: 1, maxLength: 8 });
  // Of an empty key servers disagree with themselves: `*` matches it, and `**` does not.
  const letters = fc.string({
    unit: fc.constantFrom(...Array.from('abc-^]')),
    minLength: 1,
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(patterns, fc.uniqueArray(letters, { maxLength: 12 }), async (glob, keys) => {
      await client.flushall();
      if (keys.length > 0) await client.mset(keys.flatMap((key) => [key, 'value']));
      const theirs = (await client.keys(glob)).sort();
      const ours = keys.filter((key) => matchesGlob(Buffer.from(glob), Buffer.from(key))).sort();
      expect(ours, `${glob} of ${keys.join(' ')}`).toEqual(theirs);
    }),
    { numRuns: 500, seed: 20240601 },
  );
});

it('sends nobody on where no key was wanted', async () => {
  await fill();
  const { code, report } = await runJson([...stage.endpoints, '--match', 'nobody:*']);
  expect(code).toBe(0);
  expect(report).toMatchObject({ status: 'complete', keys: { moved: 0 } });
  expect(report.next).toBeUndefined();
});

it('selects by bytes, whatever they are', async () => {
  for (const key of edgeKeys) await stage.source.client.set(key, 'value');
  const names = await moved('--match', '*');
  expect(names).toHaveLength(edgeKeys.length);
});

it.each(['relay', 'auto'])(
  'renames on the way, to where the new name belongs, by %s',
  async (mover) => {
    await fill();
    await stage.source.client.set('{tag}:key', 'value');
    const names = await moved('--mover', mover, '--key-prefix', 'new:{db}:');
    expect(names).toContain('new:0:user:1');
    expect(names).toHaveLength(10);
    expect(await stage.cluster.clientFor('new:0:{tag}:key').get('new:0:{tag}:key')).toBe('value');
    expect(await stage.source.client.dbsize()).toBe(0);
  },
);

it('says that MIGRATE can not rename', async () => {
  await fill();
  const args = [...stage.endpoints, '--mover', 'migrate', '--key-prefix', 'x:'];
  const { code, stderr } = await runCli(args);
  expect(code).toBe(2);
  expect(stderr).toMatch(/MIGRATE can not rename keys; leave --mover out, or pass --mover relay/);
});
