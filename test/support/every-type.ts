/**
 * One key of every type and encoding, with the values that trip programs up: this is what "the keys
 * are in the cluster" is checked with.
 */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { bytesOfAllKinds, edgeKeys } from './keys.js';

type Word = string | number | Buffer;
type Command = readonly [name: string, ...args: Word[]];

/** Scores that lose something when they pass through a careless formatter. */
const scores = [
  '1e-300',
  '-1e300',
  'inf',
  '-inf',
  '3.141592653589793',
  '0.1',
  '-0',
  '9007199254740993',
  '1.7976931348623157e308',
  '5e-324',
];

const many = (count: number, words: (at: number) => Word | Word[]): Word[] =>
  Array.from({ length: count }, (_, at) => words(at)).flat();

const strings: readonly Command[] = [
  ['SET', 'string:int', 12345],
  ['SET', 'string:int:lowest', '-9223372036854775808'],
  ['SET', 'string:int:shared', 7],
  ['SET', 'string:embstr', 'hello'],
  ['SET', 'string:almost-int', '007'],
  ['SET', 'string:raw', 'x'.repeat(200)],
  ['SET', 'string:empty', ''],
  ['SET', 'string:every-byte', bytesOfAllKinds],
  ['SET', 'string:looks-like-protocol', '\r\n$5\r\n-ERR no\r\n*3\r\n:1\r\n+OK\r\n'],
  ['SET', 'string:compressible', 'abcdefgh'.repeat(50_000)],
  ['SET', 'string:incompressible', randomBytes(300_000)],
  ['SETRANGE', 'string:hole', 5000, 'end'],
];

const lists: readonly Command[] = [
  ['RPUSH', 'list:short', 'a', '', 'b', 12, bytesOfAllKinds],
  ['RPUSH', 'list:long', ...many(6000, (at) => `item ${String(at)}`)],
  ['RPUSH', 'list:large-items', ...many(4, (at) => String(at).repeat(20_000))],
];

/** HMSET, because HSET takes several fields only since 4.0. */
const hashes: readonly Command[] = [
  ['HMSET', 'hash:listpack', 'field', 'value', '', 'empty field', 'empty value', '', 'n', 42],
  ['HMSET', 'hash:table', ...many(700, (at) => [`field ${String(at)}`, `value ${String(at)}`])],
  ['HMSET', 'hash:table:long-value', 'field', 'x'.repeat(1000), bytesOfAllKinds, bytesOfAllKinds],
];

const sets: readonly Command[] = [
  ['SADD', 'set:intset', 1, 2, 3, -4],
  ['SADD', 'set:intset:64-bit', '9223372036854775807', '-9223372036854775808', 0],
  ['SADD', 'set:strings', 'a', '', 'b', bytesOfAllKinds],
  ['SADD', 'set:table', ...many(1500, (at) => `member ${String(at)}`)],
];

const sortedSets: readonly Command[] = [
  ['ZADD', 'zset:listpack', ...scores.flatMap((score, at) => [score, `member ${String(at)}`])],
  ['ZADD', 'zset:listpack:edges', 0, '', 1, bytesOfAllKinds.subarray(0, 30)],
  [
    'ZADD',
    'zset:skiplist',
    ...many(300, (at) => [at / 7, `member ${String(at)}`]),
    ...scores.flatMap((score, at) => [score, `edge ${String(at)}`]),
  ],
  ['GEOADD', 'geo', 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania'],
];

const streams: readonly Command[] = [
  ['XADD', 'stream', '1-1', 'field', 'value', '', ''],
  ['XADD', 'stream', '1-2', 'field', bytesOfAllKinds],
  ...many(300, (at) => String(at)).map((at): Command => [
    'XADD',
    'stream',
    `${String(2 + Number(at))}-0`,
    'at',
    at,
  ]),
  ['XDEL', 'stream', '5-0', '250-0'],
  ['XGROUP', 'CREATE', 'stream', 'workers', '0'],
  ['XGROUP', 'CREATE', 'stream', 'idle workers', '$'],
  ['XREADGROUP', 'GROUP', 'workers', 'alice', 'COUNT', 5, 'STREAMS', 'stream', '>'],
  ['XREADGROUP', 'GROUP', 'workers', 'bob', 'COUNT', 3, 'STREAMS', 'stream', '>'],
  ['XREADGROUP', 'GROUP', 'workers', 'bob', 'COUNT', 2, 'STREAMS', 'stream', '0'],
  ['XACK', 'stream', 'workers', '1-1'],
  ['XREADGROUP', 'GROUP', 'workers', 'carol, who has read nothing', 'STREAMS', 'stream', '0'],
  ['XGROUP', 'CREATE', 'stream:empty', 'group', '$', 'MKSTREAM'],
  ['XADD', 'stream:emptied', '7-7', 'a', 'b'],
  ['XDEL', 'stream:emptied', '7-7'],
  ['XSETID', 'stream:emptied', '99-1'],
];

const others: readonly Command[] = [
  ['PFADD', 'hyperloglog:sparse', 'a', 'b', 'c'],
  ...many(20, (at) => at).map((part): Command => [
    'PFADD',
    'hyperloglog:dense',
    ...many(1000, (at) => `${String(part)}-${String(at)}`),
  ]),
  ['SETBIT', 'bitmap', 1_000_003, 1],
  ['SETBIT', 'bitmap', 17, 1],
];

/** Every type again, with deadlines; under keys that begin with `ttl:`. */
function withDeadlines(now: number): readonly Command[] {
  const hour = 3_600_000;
  return [
    ['SET', 'ttl:string', 'value', 'PX', hour],
    ['HSET', 'ttl:hash', 'field', 'value'],
    ['PEXPIREAT', 'ttl:hash', now + 2 * hour],
    ['RPUSH', 'ttl:list', 'a', 'b'],
    ['PEXPIREAT', 'ttl:list', now + 100 * 365 * 24 * hour],
    ['SADD', 'ttl:set', 'a', 'b'],
    ['EXPIRE', 'ttl:set', 7200],
    ['ZADD', 'ttl:zset', 1.5, 'a'],
    ['EXPIRE', 'ttl:zset', 1_000_000],
    ['XADD', 'ttl:stream', '*', 'a', 'b'],
    ['EXPIRE', 'ttl:stream', 600],
  ];
}

/**
 * Fills a server, and says how many keys it has now.
 * @param older whether it may lack some types: then it goes without them.
 */
export async function fillEveryType(client: Redis, older?: 'older'): Promise<number> {
  const keys = edgeKeys.map((key): Command => [
    'SET',
    key,
    Buffer.concat([Buffer.from('of '), key]),
  ]);
  const commands = [
    ...[strings, lists, hashes, sets, sortedSets, streams, others, keys].flat(),
    ...withDeadlines(Date.now()),
  ];
  // All at once, and in order: one connection does that.
  await Promise.all(
    commands.map(([name, ...args]) =>
      client.call(name, ...args).catch((error: unknown) => {
        if (older === undefined || !String(error).includes('unknown command')) throw error;
      }),
    ),
  );
  return client.dbsize();
}
