/** Values of every type, built in two ways and two sizes, and everything in which a copy may differ. */
import type { Redis } from 'ioredis';
import type { ValueDifference } from '../../../src/compare/value.js';

type Word = string | number | Buffer;
export type Command = readonly [string, ...Word[]];

/** What a server knows that others don't. */
export interface Abilities {
  /** HPEXPIRE (Redis 7.4, Valkey 9.0). */
  readonly fieldDeadlines: boolean;
  /** XSETID with ENTRIESADDED, XGROUP SETID with ENTRIESREAD (7.0). */
  readonly streamCounts: boolean;
  /** XGROUP CREATECONSUMER (6.2). */
  readonly createsConsumers: boolean;
}

export type Size = keyof typeof countOf;

/** `sliced` is more than two slices, `large` more than 8 MB. */
export const countOf = { small: 20, sliced: 2300, large: 2300 } as const;
const padBytes: Readonly<Record<Size, number>> = { small: 10, sliced: 1024, large: 4096 };

export interface Change {
  readonly name: string;
  /** What the side that is changed must know (and both sides must tell of, where it is a stream's). */
  readonly needs?: keyof Abilities;
  /** Commands for the copy, or for the source. */
  readonly copy?: (key: string, size: Size) => readonly Command[];
  readonly source?: (key: string, size: Size) => readonly Command[];
  /** Undefined: the two are the same. */
  readonly found?: { readonly kind: ValueDifference; readonly what: RegExp };
}

export interface ValueType {
  readonly type: string;
  /** Builds the value as the source has it. */
  readonly build: (key: string, size: Size) => readonly Command[];
  /** Builds the same value in another order, so that servers keep it in another way. */
  readonly rebuild: (key: string, size: Size) => readonly Command[];
  readonly changes: readonly Change[];
}

const text = (at: number, size: Size): string => `${String(at)}:`.padEnd(padBytes[size], 'abcdefg');
const indexes = (size: Size): number[] => Array.from({ length: countOf[size] }, (_, at) => at);
/** One in the last slice but one, and the one behind it. */
const late = (size: Size): number => Math.floor(countOf[size] * 0.9);

/** Several elements by one command, so many at a time. */
function chunked(word: string, key: string, elements: readonly Word[][]): Command[] {
  const commands: Command[] = [];
  for (let at = 0; at < elements.length; at += 100) {
    commands.push([word, key, ...elements.slice(at, at + 100).flat()]);
  }
  return commands;
}

const value = (what: RegExp) => ({ kind: 'value', what }) as const;

const stringText = (size: Size): string =>
  indexes(size)
    .map((at) => text(at, size))
    .join('');

const strings: ValueType = {
  type: 'string',
  build: (key, size) => [['SET', key, stringText(size)]],
  rebuild: (key, size) => [
    ['DEL', key],
    ...indexes(size).map((at): Command => ['APPEND', key, text(at, size)]),
  ],
  changes: [
    {
      name: 'one byte',
      copy: (key, size) => [['SETRANGE', key, stringText(size).length - 5, '!']],
      found: value(/^byte \d+5 of \d+ differs$/),
    },
    {
      name: 'a byte more',
      copy: (key) => [['APPEND', key, '!']],
      found: value(/^\d+ bytes .*, \d+1 /),
    },
    {
      name: 'its end missing',
      copy: (key, size) => [['SET', key, stringText(size).slice(0, -1)]],
      found: value(/^\d+0 bytes .*, \d+9 /),
    },
    { name: 'nothing but an empty value', copy: (key) => [['SET', key, '']], found: value(/, 0 /) },
  ],
};

const lists: ValueType = {
  type: 'list',
  build: (key, size) =>
    chunked(
      'RPUSH',
      key,
      indexes(size).map((at) => [text(at, size)]),
    ),
  rebuild: (key, size) =>
    chunked(
      'LPUSH',
      key,
      [...indexes(size).reverse(), -1].map((at) => [text(at, size)]),
    ).concat([['LPOP', key]]),
  changes: [
    {
      name: 'an element',
      copy: (key, size) => [['LSET', key, late(size), 'another']],
      found: value(/^element \d+ of \d+ differs$/),
    },
    {
      name: 'the order of two elements',
      copy: (key, size) => [
        ['LSET', key, late(size), text(late(size) + 1, size)],
        ['LSET', key, late(size) + 1, text(late(size), size)],
      ],
      found: value(/^element \d+ of \d+ differs$/),
    },
    { name: 'an element missing', copy: (key) => [['RPOP', key]], found: value(/ elements /) },
    { name: 'one element more', copy: (key) => [['RPUSH', key, 'x']], found: value(/ elements /) },
    {
      name: 'one element more at one end, one missing at the other',
      copy: (key) => [
        ['RPOP', key],
        ['LPUSH', key, 'x'],
      ],
      found: value(/^element 0 of/),
    },
  ],
};

const sets: ValueType = {
  type: 'set',
  build: (key, size) =>
    chunked(
      'SADD',
      key,
      indexes(size).map((at) => [text(at, size)]),
    ),
  rebuild: (key, size) =>
    chunked(
      'SADD',
      key,
      [...indexes(size).reverse(), -1].map((at) => [text(at, size)]),
    ).concat([['SREM', key, text(-1, size)]]),
  changes: [
    {
      name: 'a member',
      copy: (key, size) => [
        ['SREM', key, text(late(size), size)],
        ['SADD', key, 'another'],
      ],
      found: value(/^member "\d+:.* is not in the cluster$/),
    },
    {
      name: 'a member missing',
      copy: (key, size) => [['SREM', key, text(late(size), size)]],
      found: value(/ members /),
    },
    { name: 'one member more', copy: (key) => [['SADD', key, 'x']], found: value(/ members /) },
  ],
};

/** The deadline that two sides agree upon in these tests. */
export const deadlineMs = Date.now() + 10_000_000;

const fieldDeadline = (key: string, at: number, atMs: number): Command => [
  'HPEXPIREAT',
  key,
  atMs,
  'FIELDS',
  1,
  `field ${String(at)}`,
];

const hashes: ValueType = {
  type: 'hash',
  build: (key, size) =>
    chunked(
      'HMSET',
      key,
      indexes(size).map((at) => [`field ${String(at)}`, text(at, size)]),
    ),
  rebuild: (key, size) =>
    chunked(
      'HMSET',
      key,
      [...indexes(size).reverse(), -1].map((at) => [`field ${String(at)}`, text(at, size)]),
    ).concat([
      ['HSET', key, 'field -1', 'x'.repeat(1000)],
      ['HDEL', key, 'field -1'],
    ]),
  changes: [
    {
      name: 'the value of a field',
      copy: (key, size) => [['HSET', key, `field ${String(late(size))}`, 'another']],
      found: value(/^field "field \d+" differs$/),
    },
    {
      name: 'the name of a field',
      copy: (key, size) => [
        ['HDEL', key, `field ${String(late(size))}`],
        ['HSET', key, 'another', text(late(size), size)],
      ],
      found: value(/^field "field \d+" is not in the cluster$/),
    },
    {
      name: 'a field missing',
      copy: (key) => [['HDEL', key, 'field 3']],
      found: value(/^\d+ fields at|^field "field 3" is not in the cluster/),
    },
    {
      name: 'one field more',
      copy: (key) => [['HSET', key, 'another', 'x']],
      found: value(/^\d+ fields at|^field "another" is not at the source/),
    },
    {
      name: 'the deadline of a field, which only the source has',
      needs: 'fieldDeadlines',
      source: (key, size) => [fieldDeadline(key, late(size), deadlineMs)],
      found: value(/^the deadline of field "field \d+" differs$/),
    },
    {
      name: 'the deadline of a field, which only the copy has',
      needs: 'fieldDeadlines',
      copy: (key, size) => [fieldDeadline(key, late(size), deadlineMs)],
      found: value(/^the deadline of field "field \d+" differs$/),
    },
    {
      name: 'the deadline of a field by ten seconds',
      needs: 'fieldDeadlines',
      source: (key, size) => [fieldDeadline(key, late(size), deadlineMs)],
      copy: (key, size) => [fieldDeadline(key, late(size), deadlineMs + 10_000)],
      found: value(/^the deadline of field "field \d+" differs$/),
    },
    {
      name: 'which of its fields has the deadline',
      needs: 'fieldDeadlines',
      source: (key, size) => [fieldDeadline(key, late(size), deadlineMs)],
      copy: (key, size) => [fieldDeadline(key, late(size) + 1, deadlineMs)],
      found: value(/^the deadline of field "field \d+" differs$/),
    },
    {
      name: 'nothing: deadlines of fields within the tolerance',
      needs: 'fieldDeadlines',
      source: (key) => indexes('small').map((at) => fieldDeadline(key, at, deadlineMs)),
      copy: (key) => indexes('small').map((at) => fieldDeadline(key, at, deadlineMs + 300)),
    },
  ],
};

const sortedSets: ValueType = {
  type: 'zset',
  build: (key, size) => [
    ...chunked(
      'ZADD',
      key,
      indexes(size).map((at) => [at / 3, text(at, size)]),
    ),
    ['ZADD', key, '-inf', 'lowest', 'inf', 'highest', '1e-300', 'least', 7, 'tie 1', 7, 'tie 2'],
  ],
  rebuild: (key, size) => [
    ['ZADD', key, 7, 'tie 2', 7, 'tie 1', '1e-300', 'least', 'inf', 'highest', '-inf', 'lowest'],
    ...chunked(
      'ZADD',
      key,
      [...indexes(size).reverse(), -1].map((at) => [at / 3, text(at, size)]),
    ),
    ['ZADD', key, 5, 'x'.repeat(1000)],
    ['ZREM', key, text(-1, size), 'x'.repeat(1000)],
  ],
  changes: [
    {
      name: 'a score, in its last digit',
      copy: (key, size) => [['ZADD', key, late(size) / 3 + 1e-12, text(late(size), size)]],
      found: value(/^the score of "\d+:/),
    },
    {
      name: 'a score that changes the order',
      copy: (key, size) => [['ZADD', key, 1e6, text(late(size), size)]],
      found: value(/^the member of rank \d+ is/),
    },
    {
      name: 'a member',
      copy: (key, size) => [
        ['ZREM', key, text(late(size), size)],
        ['ZADD', key, late(size) / 3, 'another'],
      ],
      found: value(/^the member of rank \d+ is/),
    },
    {
      name: 'a member missing',
      copy: (key, size) => [['ZREM', key, text(late(size), size)]],
      found: value(/ members /),
    },
    { name: 'one member more', copy: (key) => [['ZADD', key, 1, 'x']], found: value(/ members /) },
  ],
};

const id = (at: number): string => `${String(at + 1)}-1`;

/** An entry that is pending to alice. */
const pendingId = (size: Size): string => id(late(size) - 5);

/** @param other an entry that has another value. */
function entries(key: string, size: Size, other?: number): Command[] {
  return indexes(size).map((at): Command => [
    'XADD',
    key,
    id(at),
    'field',
    at === other ? 'another' : text(at, size),
  ]);
}

const groups = (key: string, size: Size): Command[] => [
  ['XGROUP', 'CREATE', key, 'group', '0'],
  ['XGROUP', 'CREATE', key, 'idle', '0'],
  ['XREADGROUP', 'GROUP', 'group', 'alice', 'COUNT', countOf[size] - 5, 'STREAMS', key, '>'],
  ['XREADGROUP', 'GROUP', 'group', 'bob', 'COUNT', 2, 'STREAMS', key, '>'],
  ['XREADGROUP', 'GROUP', 'group', 'carol, who has read nothing', 'STREAMS', key, '0'],
  ['XACK', key, 'group', id(0)],
];

/** What both ways of building have in common: the last entry is deleted, and the ids are the same. */
const ended = (key: string, size: Size): Command[] => [
  ['XADD', key, id(countOf[size]), 'field', 'deleted'],
  ['XDEL', key, id(countOf[size])],
];

function setId(key: string, size: Size, added: number, deleted: string): Command {
  const last = id(countOf[size]);
  return ['XSETID', key, last, 'ENTRIESADDED', added, 'MAXDELETEDID', deleted];
}

const streams: ValueType = {
  type: 'stream',
  build: (key, size) => [...entries(key, size), ...ended(key, size), ...groups(key, size)],
  rebuild: (key, size) => [
    ...entries(key, size),
    ...ended(key, size),
    ['XGROUP', 'CREATE', key, 'idle', '0'],
    ...groups(key, size).filter(([, , , name]) => name !== 'idle'),
    // Delivered at another time, as often.
    ['XCLAIM', key, 'group', 'alice', 0, id(3), 'IDLE', 5000, 'RETRYCOUNT', 1, 'JUSTID'],
  ],
  changes: [
    {
      name: 'an entry',
      copy: (key, size) => [
        ['DEL', key],
        ...entries(key, size, late(size)),
        ...ended(key, size),
        ...groups(key, size),
      ],
      found: value(/^entry \d+-1 differs$/),
    },
    {
      name: 'an entry missing',
      copy: (key, size) => [['XDEL', key, id(late(size))]],
      found: value(/^entry \d+-1 differs$/),
    },
    {
      name: 'one entry more',
      copy: (key, size) => [['XADD', key, id(countOf[size] + 1), 'field', 'x']],
      found: value(/^entry \d+-1 differs$/),
    },
    {
      name: 'its last id',
      copy: (key, size) => [['XSETID', key, id(countOf[size] + 7)]],
      found: value(/^its last-generated-id differs$/),
    },
    {
      name: 'how many entries were added',
      needs: 'streamCounts',
      copy: (key, size) => [setId(key, size, 99_999, id(countOf[size]))],
      found: value(/^its entries-added differs$/),
    },
    {
      name: 'the highest deleted id',
      needs: 'streamCounts',
      copy: (key, size) => [setId(key, size, countOf[size] + 1, '0-1')],
      found: value(/^its max-deleted-entry-id differs$/),
    },
    {
      name: 'a group missing',
      copy: (key) => [['XGROUP', 'DESTROY', key, 'idle']],
      found: value(/^group "idle" is not in the cluster$/),
    },
    {
      name: 'one group more',
      copy: (key) => [['XGROUP', 'CREATE', key, 'another', '0']],
      found: value(/^group "another" is not at the source$/),
    },
    {
      name: 'what a group was given last',
      copy: (key) => [['XGROUP', 'SETID', key, 'idle', '2-1']],
      found: value(/^last-delivered-id of group "idle" differs$/),
    },
    {
      name: 'how many entries a group has read',
      needs: 'streamCounts',
      copy: (key) => [['XGROUP', 'SETID', key, 'idle', '0', 'ENTRIESREAD', 3]],
      found: value(/^entries-read of group "idle" differs$/),
    },
    {
      name: 'a consumer missing',
      copy: (key) => [['XGROUP', 'DELCONSUMER', key, 'group', 'carol, who has read nothing']],
      found: value(/^consumer "carol.*" of group "group" is not in the cluster$/),
    },
    {
      name: 'one consumer more',
      needs: 'createsConsumers',
      copy: (key) => [['XGROUP', 'CREATECONSUMER', key, 'idle', 'dave']],
      found: value(/^consumer "dave" of group "idle" is not at the source$/),
    },
    {
      name: 'a pending entry missing',
      copy: (key, size) => [['XACK', key, 'group', pendingId(size)]],
      found: value(/^pending of group "group" differs$/),
    },
    {
      name: 'which entry is pending',
      copy: (key, size) => [
        ['XACK', key, 'group', pendingId(size)],
        ['XCLAIM', key, 'group', 'alice', 0, id(0), 'FORCE', 'JUSTID'],
      ],
      found: value(/^pending entry [12]-1 of group "group" differs$/),
    },
    {
      name: 'to whom an entry is pending',
      copy: (key, size) => [['XCLAIM', key, 'group', 'bob', 0, pendingId(size), 'JUSTID']],
      found: value(/^pending entry \d+-1 of group "group" differs$/),
    },
    {
      name: 'how often a pending entry was delivered',
      copy: (key, size) => [
        ['XCLAIM', key, 'group', 'alice', 0, pendingId(size), 'RETRYCOUNT', 7, 'JUSTID'],
      ],
      found: value(/^pending entry \d+-1 of group "group" differs$/),
    },
    {
      name: 'nothing: when a pending entry was delivered',
      copy: (key, size) => [
        ['XCLAIM', key, 'group', 'alice', 0, pendingId(size), 'IDLE', 7000, 'RETRYCOUNT', 1],
      ],
    },
  ],
};

const ttl = (what: RegExp) => ({ kind: 'ttl', what }) as const;

/** What every type may differ in besides. */
const ofEveryType: readonly Change[] = [
  { name: 'nothing: only built in another order' },
  {
    name: 'the deadline, which only the source has',
    source: (key) => [['PEXPIREAT', key, deadlineMs]],
    found: ttl(/^expires in .* at the source, never in the cluster$/),
  },
  {
    name: 'the deadline, which only the copy has',
    copy: (key) => [['PEXPIREAT', key, deadlineMs]],
    found: ttl(/^never expires at the source, in .* in the cluster$/),
  },
  {
    name: 'the deadline by ten seconds',
    source: (key) => [['PEXPIREAT', key, deadlineMs]],
    copy: (key) => [['PEXPIREAT', key, deadlineMs + 10_000]],
    found: ttl(/^expires \d+(\.\d+)? s later in the cluster$/),
  },
  {
    name: 'nothing: deadlines within the tolerance',
    source: (key) => [['PEXPIREAT', key, deadlineMs]],
    copy: (key) => [['PEXPIREAT', key, deadlineMs + 300]],
  },
];

const otherType = (type: string): Change => ({
  name: 'its type',
  copy: (key) => [['DEL', key], type === 'set' ? ['RPUSH', key, 'a'] : ['SADD', key, 'a']],
  found: { kind: 'type', what: new RegExp(`^a ${type} at the source, a \\w+ in the cluster$`) },
});

export const valueTypes: readonly ValueType[] = [
  ...[strings, lists, sets, hashes, sortedSets, streams],
].map((one) => ({ ...one, changes: [...ofEveryType, otherType(one.type), ...one.changes] }));

/** In order: one connection does that. @throws when the server refuses one of them. */
export async function run(client: Redis, commands: readonly Command[]): Promise<void> {
  await Promise.all(commands.map(([name, ...args]) => client.call(name, ...args)));
}
