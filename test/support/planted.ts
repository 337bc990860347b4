/**
 * Differences planted between a source and a cluster, of twelve kinds, and what looks like one but is
 * none: equal values that are kept in another encoding, and keys that have expired.
 */
import type { Redis } from 'ioredis';

type Command = readonly [string, ...(string | number)[]];

/** Where a key is at home. */
export interface Sides {
  readonly source: Redis;
  clientFor(key: string): Redis;
}

interface Kind {
  readonly name: string;
  /** What verifying must call it; undefined: it must say nothing. */
  readonly found?: 'missing' | 'extra' | 'type' | 'value' | 'ttl';
  /** What it must say, where that matters. */
  readonly words?: RegExp;
  source(key: string): readonly Command[];
  cluster(key: string, at: number): readonly Command[];
}

const hour = 3_600_000;
/** By the clock: both sides must not depend on when they come to it. */
const inAnHour = Date.now() + hour;
const grouped = (key: string): Command[] => [
  ['XADD', key, '1-1', 'a', '1'],
  ['XADD', key, '1-2', 'a', '2'],
  ['XGROUP', 'CREATE', key, 'group', '0'],
  ['XREADGROUP', 'GROUP', 'group', 'alice', 'COUNT', 1, 'STREAMS', key, '>'],
  ['XREADGROUP', 'GROUP', 'group', 'bob', 'COUNT', 1, 'STREAMS', key, '>'],
];
const expiring = (key: string, deadlineMs: number): Command[] => [
  ['SET', key, 'value'],
  ['PEXPIREAT', key, deadlineMs],
];
const numbers = (count: number): string[] => Array.from({ length: count }, (_, at) => String(at));

export const kinds: readonly Kind[] = [
  {
    name: 'one byte of a value',
    found: 'value',
    words: /byte 99 of 200/,
    source: (key) => [['SET', key, `${'x'.repeat(99)}a${'x'.repeat(100)}`]],
    cluster: (key) => [['SET', key, `${'x'.repeat(99)}b${'x'.repeat(100)}`]],
  },
  {
    name: 'a field',
    found: 'value',
    words: /field "two" differs/,
    source: (key) => [['HSET', key, 'one', 1, 'two', 2, 'three', 3]],
    cluster: (key) => [['HSET', key, 'one', 1, 'two', 22, 'three', 3]],
  },
  {
    name: 'the order of a list',
    found: 'value',
    words: /element 1 of 4/,
    source: (key) => [['RPUSH', key, 'a', 'b', 'c', 'd']],
    cluster: (key) => [['RPUSH', key, 'a', 'c', 'b', 'd']],
  },
  {
    name: 'the 15th digit of a score',
    found: 'value',
    words: /score of "b"/,
    source: (key) => [['ZADD', key, 1, 'a', '1.23456789012345', 'b']],
    cluster: (key) => [['ZADD', key, 1, 'a', '1.23456789012346', 'b']],
  },
  {
    name: 'a TTL off by ten seconds',
    found: 'ttl',
    words: /10 s earlier/,
    source: (key) => expiring(key, inAnHour),
    cluster: (key) => expiring(key, inAnHour - 10_000),
  },
  {
    name: 'a TTL against none',
    found: 'ttl',
    source: (key) => expiring(key, inAnHour),
    cluster: (key) => [['SET', key, 'value']],
  },
  {
    name: 'a type',
    found: 'type',
    words: /a set at the source, a list in the cluster/,
    source: (key) => [['SADD', key, 'a']],
    cluster: (key) => [['RPUSH', key, 'a']],
  },
  {
    name: 'a missing key',
    found: 'missing',
    source: (key) => [['SET', key, 1]],
    cluster: () => [],
  },
  { name: 'an extra key', found: 'extra', source: () => [], cluster: (key) => [['SET', key, 1]] },
  {
    name: 'an entry of a stream',
    found: 'value',
    words: /entry 2-0/,
    source: (key) => [
      ['XADD', key, '1-0', 'a', 1],
      ['XADD', key, '2-0', 'a', 2],
    ],
    cluster: (key) => [
      ['XADD', key, '1-0', 'a', 1],
      ['XADD', key, '2-0', 'a', 3],
    ],
  },
  {
    name: 'a pending entry of a group',
    found: 'value',
    words: /group/,
    source: grouped,
    cluster: (key, at) => [
      ...grouped(key),
      // The number of those that are pending stays the same in every other one.
      at % 2 === 0
        ? ['XACK', key, 'group', '1-1']
        : ['XCLAIM', key, 'group', 'bob', 0, '1-1', 'JUSTID'],
    ],
  },
  {
    name: 'an expired key that is still there',
    source: (key) => [['SET', key, 1, 'PX', 1]],
    cluster: () => [],
  },
  {
    name: 'an expired key that is still in the cluster',
    source: () => [],
    cluster: (key) => [['SET', key, 1, 'PX', 1]],
  },
  {
    name: 'a hash in another encoding',
    source: (key) => [['HSET', key, 'a', 1, 'b', 2]],
    cluster: (key) => [
      ['HSET', key, 'b', 'x'.repeat(1000)],
      ['HSET', key, 'b', 2, 'a', 1],
    ],
  },
  {
    name: 'a set in another order',
    source: (key) => [['SADD', key, 'a', ...numbers(600)]],
    cluster: (key) => [['SADD', key, ...numbers(600).reverse(), 'a']],
  },
  {
    name: 'a set of numbers that was none',
    source: (key) => [['SADD', key, 1, 2, 3]],
    cluster: (key) => [
      ['SADD', key, 'a', 3, 2, 1],
      ['SREM', key, 'a'],
    ],
  },
  {
    name: 'a sorted set in another encoding',
    source: (key) => [['ZADD', key, 1, 'a', 2, 'b']],
    cluster: (key) => [
      ['ZADD', key, 2, 'b', 1, 'a', 3, 'x'.repeat(1000)],
      ['ZREM', key, 'x'.repeat(1000)],
    ],
  },
  {
    name: 'a TTL within the tolerance',
    source: (key) => expiring(key, inAnHour),
    cluster: (key) => expiring(key, inAnHour + 300),
  },
];

/** Those that are differences. */
export const differing = kinds.filter(({ found }) => found !== undefined);

export interface Planted {
  readonly key: string;
  readonly kind: Kind;
}

/**
 * Keeps keys that have expired where they are until somebody asks for them; otherwise servers would
 * have removed most of them before anything is compared. Needs DEBUG.
 */
export async function keepExpired(clients: readonly Redis[]): Promise<void> {
  await Promise.all(clients.map((client) => client.call('DEBUG', 'SET-ACTIVE-EXPIRE', 0)));
}

/** Plants each kind so many times in turn. */
export async function plant(
  sides: Sides,
  some: readonly Kind[],
  count: number,
): Promise<Planted[]> {
  const planted = Array.from({ length: count }, (_, at) => {
    const kind = some[at % some.length] as Kind;
    return { key: `planted:${String(at)}:${kind.name}`, kind, at };
  });
  await Promise.all(
    planted.flatMap(({ key, kind, at }) => [
      run(sides.source, kind.source(key)),
      run(sides.clientFor(key), kind.cluster(key, Math.floor(at / some.length))),
    ]),
  );
  return planted;
}

/** In order: one connection does that. */
async function run(client: Redis, commands: readonly Command[]): Promise<void> {
  await Promise.all(commands.map(([name, ...args]) => client.call(name, ...args)));
}
