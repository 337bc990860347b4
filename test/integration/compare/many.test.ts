/**
 * The first pass over many keys: suspect is what differs and nothing else, also by the shorter ways that
 * it takes once it has seen what most values are like.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Redis } from 'ioredis';
import type { Ends } from '../../../src/compare/ask-many.js';
import { createFirstPass } from '../../../src/compare/many.js';
import { connect } from '../../../src/redis/connection.js';
import { frame, keysBuilder } from '../../../src/redis/frames.js';
import { otherEncodings } from '../../support/encodings.js';
import { type Server, startServer } from '../../support/servers.js';

let source: Server;
let alike: Server;
let reencoded: Server;
let servers: readonly Server[];

beforeAll(async () => {
  servers = await Promise.all([
    startServer(),
    startServer(),
    startServer({ config: otherEncodings }),
  ]);
  [source, alike, reencoded] = servers as [Server, Server, Server];
});
afterAll(() => Promise.all(servers.map((server) => server.stop())));

type Command = readonly [string, ...(string | number)[]];

interface Row {
  readonly build: (key: string) => readonly Command[];
  /** Makes the copy another value. */
  readonly changes: readonly ((key: string) => readonly Command[])[];
}

const numbers = Array.from({ length: 20 }, (_, at) => String(at));
const strings: Row = {
  build: (key) => [['SET', key, 'a value']],
  changes: [
    (key) => [['SET', key, 'a valuf']],
    (key) => [['DEL', key]],
    (key) => [['PEXPIRE', key, 60_000]],
  ],
};
const others: readonly Row[] = [
  {
    build: (key) => [['RPUSH', key, 'a', 'b', 'c']],
    changes: [
      (key) => [
        ['DEL', key],
        ['RPUSH', key, 'a', 'c', 'b'],
      ],
      (key) => [['RPUSH', key, 'd']],
      (key) => [
        ['DEL', key],
        ['SADD', key, 'a', 'b', 'c'],
      ],
      (key) => [['DEL', key]],
    ],
  },
  {
    build: (key) => [['HSET', key, ...numbers.flatMap((at) => [`field ${at}`, at])]],
    changes: [
      (key) => [['HSET', key, 'field 7', 'x']],
      (key) => [['HSET', key, 'field 7', 8, 'field 8', 7]],
      (key) => [
        ['HDEL', key, 'field 7'],
        ['HSET', key, 'field 07', 7],
      ],
      (key) => [['PEXPIRE', key, 60_000]],
    ],
  },
  {
    build: (key) => [['SADD', key, '7', '8', 'member', 'another']],
    changes: [
      (key) => [
        ['SREM', key, '7'],
        ['SADD', key, '77'],
      ],
      (key) => [['SADD', key, 'more']],
    ],
  },
  {
    build: (key) => [['ZADD', key, '1.5', 'a', 2, 'b', 'inf', 'c']],
    changes: [
      (key) => [['ZADD', key, '1.5000000001', 'a']],
      (key) => [
        ['ZREM', key, 'b'],
        ['ZADD', key, 2, 'bb'],
      ],
    ],
  },
  {
    build: (key) => [
      ['XADD', key, '1-1', 'a', '1'],
      ['XADD', key, '1-2', 'a', '2'],
    ],
    changes: [
      (key) => [['XADD', key, '1-3', 'a', '3']],
      (key) => [['XSETID', key, '5-5']],
      (key) => [['XGROUP', 'CREATE', key, 'group', '0']],
      (key) => [
        ['DEL', key],
        ['XADD', key, '1-1', 'a', '1'],
        ['XADD', key, '1-2', 'a', '22'],
      ],
    ],
  },
];
const mixed = [...others, ...others, strings];

/** Changed are some keys of the later part, when it is known what most values are like. */
async function fill(node: Server, rows: readonly Row[], count: number): Promise<Set<string>> {
  await Promise.all([source.client.flushall(), node.client.flushall()]);
  const changed = new Set<string>();
  const work: Promise<unknown>[] = [];
  for (let at = 0; at < count; at++) {
    const key = `key:${String(at)}`;
    const row = rows[at % rows.length] as Row;
    const nth = Math.floor(at / rows.length);
    const change =
      at < count / 2 || nth % 3 > 0 ? undefined : row.changes[nth % row.changes.length];
    if (change) changed.add(key);
    for (const command of row.build(key)) work.push(call(source.client, command));
    for (const command of [...row.build(key), ...(change?.(key) ?? [])]) {
      work.push(call(node.client, command));
    }
  }
  await Promise.all(work);
  return changed;
}

const call = (client: Redis, [word, ...args]: Command): Promise<unknown> =>
  client.call(word, ...args);

async function suspectsAmong(node: Server, count: number): Promise<Set<string>> {
  const open = ({ host, port }: Server) =>
    connect({ host, port, tls: false, db: 0 }, { timeoutMs: 20_000 });
  const ends: Ends = { source: await open(source), node: await open(node) };
  const firstPass = createFirstPass({ memoryUsage: true });
  const found = new Set<string>();
  for (let from = 0; from < count; from += 100) {
    const keys = keysBuilder(100);
    for (let at = from; at < from + 100; at++) {
      const key = frame(Buffer.from(`key:${String(at)}`));
      keys.add(key, 0, key.length);
    }
    const { small, large } = await firstPass.suspects(ends, keys.take());
    for (const place of [...small, ...large]) found.add(`key:${String(from + place)}`);
  }
  ends.source.close();
  ends.node.close();
  return found;
}

/** How often a command was run since the last `CONFIG RESETSTAT`. */
async function callsOf(server: Server, word: string): Promise<number> {
  const stats = await server.client.info('commandstats');
  return Number(new RegExp(`cmdstat_${word}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

it('finds what differs by payloads alone where few keys are strings', async () => {
  const changed = await fill(alike, mixed, 4400);
  await source.client.config('RESETSTAT');
  expect(await suspectsAmong(alike, 4400)).toEqual(changed);
  expect(changed.size).toBeGreaterThan(500);
  // Some batches in sixteen ask for strings first.
  expect(await callsOf(source, 'mget')).toBeLessThan(10);
});

it('asks for strings first again where keys become strings', async () => {
  const before = await fill(alike, [...others, strings], 1200);
  const then = Array.from({ length: 3200 }, (_, at) => `key:${String(1200 + at)}`);
  await Promise.all(
    then.flatMap((key) => [source.client.set(key, key), alike.client.set(key, key)]),
  );
  await source.client.config('RESETSTAT');
  expect(await suspectsAmong(alike, 4400)).toEqual(before);
  expect(await callsOf(source, 'mget')).toBeGreaterThan(15);
});

it('finds what differs by contents where equal values are kept in other ways', async () => {
  const changed = await fill(reencoded, mixed, 4400);
  await source.client.config('RESETSTAT');
  expect(await suspectsAmong(reencoded, 4400)).toEqual(changed);
  // Only strings have the same payloads.
  expect(await callsOf(source, 'dump')).toBeLessThan(1500);
  expect(await callsOf(source, 'xrange')).toBeGreaterThan(500);
});
