/**
 * "Is it the same value?", asked of real servers: every type, every difference, small values and such
 * as take many slices. Every question is put in all the ways in which the parts of this project do: a
 * key at two servers, many keys at two servers, and two names at one server.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  atSource,
  type Comparison,
  compareValue,
  inCluster,
  type Side,
  sideOf,
} from '../../../src/compare/value.js';
import { createSideChannel } from '../../../src/movers/side-channel.js';
import { frame, keysBuilder } from '../../../src/redis/frames.js';
import { waitFor } from '../../support/wait.js';
import { type Change, countOf, run, type Size, type ValueType, valueTypes } from './rows.js';
import { findKinds, type Kind, startTwo, type TwoServers } from './servers.js';

const kinds = await findKinds();
const [system] = kinds as [Kind];
console.log(`values are compared on ${kinds.map(({ name }) => name).join(', ')}`);
const pairs = [
  ...kinds.map((kind) => [kind, kind] as const),
  ...kinds.slice(1).map((kind) => [kind, system] as const),
];

describe.each(
  pairs.map(([source, target]) => ({ source, target, names: `${source.name} and ${target.name}` })),
)('$names', ({ source, target }) => {
  let two: TwoServers;
  beforeAll(async () => {
    two = await startTwo(source, target);
  });
  afterAll(() => two.stop());

  describe.each(valueTypes)('a $type', (valueType) => {
    describe.each(Object.keys(countOf) as Size[])('%s', (size) => {
      const key = `${valueType.type} ${size}`;
      let payloads: readonly [ours: Buffer, theirs: Buffer];
      beforeAll(async () => {
        await Promise.all([two.source.client.flushall(), two.target.client.flushall()]);
        await run(two.source.client, valueType.build(key, size));
        await run(two.target.client, valueType.rebuild(key, size));
        payloads = (await Promise.all(
          [two.source, two.target].map(({ client }) => client.dumpBuffer(key)),
        )) as [Buffer, Buffer];
      });

      it.each(possible(valueType, size, source, target))('differs in $name', async (change) => {
        await Promise.all([
          two.source.client.call('RESTORE', key, 0, payloads[0], 'REPLACE'),
          two.target.client.call('RESTORE', key, 0, payloads[1], 'REPLACE'),
        ]);
        await run(two.source.client, change.source?.(key, size) ?? []);
        await run(two.target.client, change.copy?.(key, size) ?? []);
        expectFound(await atBoth(two, key), change);
        expect(await amongMany(two, key)).toEqual([change.found ? 'different' : 'equal']);
        if (source === target) expectFound(await atOneNode(two, key), change);
      });
    });
  });

  it('is gone where it is gone', async () => {
    await two.source.client.set('here', 'value', 'PX', 500_000);
    expect(await atBoth(two, 'here')).toMatchObject({ gone: 'target', type: 'string' });
    expect(await amongMany(two, 'here')).toEqual(['missing']);
    expect(await atBoth(two, 'nowhere')).toEqual({ same: false, gone: 'source' });
    expect(await amongMany(two, 'nowhere')).toEqual(['absent']);
  });

  it('is compared by type and deadline alone where that is asked for', async () => {
    await two.source.client.set('fast', 'one');
    await two.target.client.set('fast', 'another');
    expect(await atBoth(two, 'fast', { typesOnly: true })).toEqual({ same: true });
    await two.target.client.pexpire('fast', 10_000);
    expect(await atBoth(two, 'fast', { typesOnly: true })).toMatchObject({ kind: 'ttl' });
  });

  it.each([
    ['has gone', [['DEL', 'hash']], { same: false, gone: 'source' }],
    [
      'is of another type',
      [
        ['DEL', 'hash'],
        ['SET', 'hash', 'x'],
      ],
      { same: false, kind: 'type' },
    ],
  ] as const)('counts as what it is where it %s half-way', async (_, commands, found) => {
    await fillHashes(two);
    const ours = interrupted(sideOf(two.ours), 'HMGET', () => run(two.source.client, commands));
    const theirs = interrupted(sideOf(two.theirs), 'HMGET', () => run(two.source.client, commands));
    const key = Buffer.from('hash');
    expect(await compareValue(key, key, ours, theirs)).toMatchObject(found);
  });

  if (source.fieldDeadlines) {
    it('does not count fields that have expired, and are still there', async () => {
      await Promise.all([two.source.client.flushall(), two.target.client.flushall()]);
      for (const { client } of [two.source, two.target]) await client.hset('hash', 'a', 1, 'b', 2);
      await two.source.client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
      await two.source.client.hset('hash', 'short', 'lived');
      const [seconds] = await two.source.client.time();
      const atSeconds = Number(seconds) + 2;
      await two.source.client.call('HEXPIREAT', 'hash', atSeconds, 'FIELDS', 1, 'short');
      // Whoever asks for the field itself makes the server delete it.
      await waitFor(
        'the field to expire',
        async () => Number((await two.source.client.time())[0]) > atSeconds,
      );
      expect(await two.source.client.hlen('hash')).toBe(3);
      expect(await atBoth(two, 'hash')).toEqual({ same: true });
      expect(await amongMany(two, 'hash')).toEqual(['equal']);
      await two.target.client.hset('hash', 'more', 'x');
      expect(await atBoth(two, 'hash')).toMatchObject({
        what: 'field "more" is not at the source',
      });
    });
  }
});

/** The changes that these servers are able to. */
function possible(
  { changes }: ValueType,
  size: Size,
  source: Kind,
  target: Kind,
): readonly Change[] {
  // What is sliced is found in the same way whatever the size: of large values that they are equal.
  const wanted = size === 'large' ? changes.slice(0, 1) : changes;
  return wanted.filter(
    ({ needs, source: ours, copy }) =>
      needs === undefined ||
      ((!ours || source[needs]) &&
        (!copy || target[needs]) &&
        (needs === 'fieldDeadlines' || source[needs])),
  );
}

function expectFound(comparison: Comparison, { found }: Change): void {
  if (!found) {
    expect(comparison).toEqual({ same: true });
    return;
  }
  expect(comparison).toMatchObject({ same: false, kind: found.kind });
  expect('what' in comparison && comparison.what).toMatch(found.what);
}

const atBoth = ({ ours, theirs }: TwoServers, name: string, options = {}): Promise<Comparison> =>
  compareValue(
    Buffer.from(name),
    Buffer.from(name),
    sideOf(ours, { where: atSource }),
    sideOf(theirs, { where: inCluster }),
    options,
  );

/** The source's value under another name, beside the copy. */
async function atOneNode(
  { source, target, theirs }: TwoServers,
  name: string,
): Promise<Comparison> {
  const beside = `beside ${name}`;
  const [payload, ttlMs] = await Promise.all([
    source.client.dumpBuffer(name),
    source.client.pttl(name),
  ]);
  await target.client.call('RESTORE', beside, Math.max(0, ttlMs), payload, 'REPLACE');
  try {
    return await compareValue(
      Buffer.from(beside),
      Buffer.from(name),
      sideOf(theirs, { where: atSource }),
      sideOf(theirs, { where: inCluster }),
    );
  } finally {
    await target.client.del(beside);
  }
}

/** In which classes an import puts a key that both sides have, looked at with others. */
async function amongMany({ ours, theirs }: TwoServers, name: string): Promise<string[]> {
  const keys = keysBuilder(1);
  const key = frame(Buffer.from(name));
  keys.add(key, 0, key.length);
  const aside = createSideChannel(
    () => Promise.resolve(ours),
    () => Promise.resolve(theirs),
  );
  const node = { address: theirs.address, host: '', port: 0 };
  const { refused, ...classes } = await aside.compare({ node, asking: false }, keys.take());
  expect(refused).toEqual([]);
  return Object.entries(classes).flatMap(([word, { count }]) => (count > 0 ? [word] : []));
}

async function fillHashes({ source, target }: TwoServers): Promise<void> {
  const fields = Array.from({ length: 3000 }, (_, at) => [`field ${String(at)}`, 'x']).flat();
  for (const { client } of [source, target]) {
    await client.del('hash');
    await client.call('HMSET', 'hash', ...fields);
  }
}

/** Does something just before a command is run for the first time. */
function interrupted(side: Side, command: string, act: () => Promise<unknown>): Side {
  let isDone = false;
  return {
    ...side,
    async ask(words) {
      if (!isDone && words[0] === command) {
        isDone = true;
        await act();
      }
      return side.ask(words);
    },
  };
}
