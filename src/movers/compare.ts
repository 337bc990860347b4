/**
 * Whether a key is the same on the source and at its node: value and TTL.
 *
 * Values that are equal byte for byte are found so without being held: both replies are hashed as
 * they pass. Equal values may have unequal DUMPs, though (encodings and the order of tables
 * differ, and so do payload versions), so unequal ones are read as elements.
 */
import { createHash } from 'node:crypto';
import pLimit from 'p-limit';
import { BulksReader, type FrameSink } from '../redis/bulks.js';
import type { Connection } from '../redis/connection.js';
import { type DeadlineSpan, deadlineSpan, msApart } from '../redis/deadline.js';
import { command } from '../redis/frames.js';
import { chosen, keyAt, namesOf } from '../redis/keys.js';
import { ErrorReply, type Reply, ReplyReader, textOf } from '../redis/reply.js';
import type { Keys } from '../types.js';
import { isPassing, type Refused } from './refused.js';

/** TTLs count as equal within this. */
const toleranceMs = 1000;
/** Values with larger payloads are compared by their bytes alone. */
const payloadBytesLimit = 8 * 1024 * 1024;
/** What the elements of a smaller one may add up to. */
const elementBytesLimit = 128 * 1024 * 1024;
/** How many keys are compared at one time. */
const atOnce = 32;
/** Version and checksum at the end of a DUMP payload. */
const payloadTrailerBytes = 10;

export interface Compared {
  readonly equal: Keys;
  readonly different: Keys;
  /** Not at the source any more. */
  readonly absent: Keys;
  /** At the source, and by now not at the node any more. */
  readonly missing: Keys;
  /** Of which nothing was found out. */
  readonly refused: readonly Refused[];
}

export interface Side {
  readonly connection: Connection;
  /** Whether each command must stand behind ASKING. */
  readonly asking: boolean;
}

/** A server does not answer now, or not for this key. */
class Refusal extends Error {}

type Verdict = 'equal' | 'different' | 'absent' | 'missing';

/**
 * Compares keys that both sides have. The connections must not carry values that pass through.
 * @throws ConnectionError when either is lost.
 */
export async function compareKeys(source: Side, target: Side, keys: Keys): Promise<Compared> {
  const refused: Refused[] = [];
  const places: Record<Verdict, number[]> = {
    ...{ equal: [], different: [], absent: [], missing: [] },
  };
  for (let from = 0; from < keys.count; from += atOnce) {
    const some = Array.from({ length: Math.min(atOnce, keys.count - from) }, (_, at) => from + at);
    const verdicts = await Promise.all(
      some.map((place) =>
        compareKey(source, target, keyAt(keys, place), keyAt(namesOf(keys), place)).catch(
          (error: unknown) => {
            if (!(error instanceof Refusal)) throw error;
            refused.push({ place, text: error.message });
            return undefined;
          },
        ),
      ),
    );
    verdicts.forEach((verdict, at) => verdict && places[verdict].push(from + at));
  }
  return {
    equal: chosen(keys, places.equal),
    different: chosen(keys, places.different),
    absent: chosen(keys, places.absent),
    missing: chosen(keys, places.missing),
    refused,
  };
}

/** @param name what the key is called at the target. */
async function compareKey(source: Side, target: Side, key: Buffer, name: Buffer): Promise<Verdict> {
  const [here, there] = await Promise.all([outline(source, key), outline(target, name)]);
  if (here.type === 'none') return 'absent';
  if (there.type === 'none') return 'missing';
  if (here.type !== there.type) return 'different';
  if (!isSameDeadline(here, there)) return 'different';
  const [one, other] = await Promise.all([
    digest(source, key, here.type),
    digest(target, name, here.type),
  ]);
  if (one?.isNil === true) return 'absent';
  if (other?.isNil === true) return 'missing';
  if (one && other && one.hash === other.hash) return 'equal';
  const tooLarge = Math.max(one?.bytes ?? 0, other?.bytes ?? 0) > payloadBytesLimit;
  if (here.type === 'string' || tooLarge) return 'different';
  // One after the other, because their elements are held.
  return (await inTurn(() => sameElements(source, target, key, name, here.type)))
    ? 'equal'
    : 'different';
}

const inTurn = pLimit(1);

interface Outline {
  readonly type: string;
  /** Undefined: it has no TTL. */
  readonly deadline: DeadlineSpan | undefined;
}

async function outline(side: Side, key: Buffer): Promise<Outline> {
  const askedMs = Date.now();
  const [type, ttl] = await Promise.all([ask(side, ['TYPE', key]), ask(side, ['PTTL', key])]);
  const ttlMs = typeof ttl === 'number' ? ttl : -1;
  return { type: textOf(type), deadline: deadlineSpan(ttlMs, askedMs) };
}

function isSameDeadline({ deadline: one }: Outline, { deadline: other }: Outline): boolean {
  return one && other ? msApart(one, other) <= toleranceMs : one === other;
}

interface Digest {
  readonly hash: string;
  readonly bytes: number;
  /** The key was gone by then. */
  readonly isNil: boolean;
}

/** A hash of the value's bytes, read in passing; undefined when the server refuses. */
function digest(side: Side, key: Buffer, type: string): Promise<Digest | undefined> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha1');
    let refused = false;
    let isNil = false;
    let at = 0;
    let from = 0;
    let to = 0;
    const sink: FrameSink = {
      open(valueBytes) {
        from = String(valueBytes).length + 3;
        to = from + valueBytes - (type === 'string' ? 0 : payloadTrailerBytes);
      },
      bytes(bytes, start, end) {
        const first = Math.max(start, start + from - at);
        const last = Math.min(end, start + to - at);
        if (first < last) hash.update(bytes.subarray(first, last));
        at += end - start;
      },
      shut: () => undefined,
      nil: () => {
        isNil = true;
      },
      refused: (text) => {
        if (isPassing(text)) reject(new Refusal(text));
        refused = true;
      },
      end: () => {
        resolve(refused ? undefined : { hash: hash.digest('hex'), bytes: to - from, isNil });
      },
      fail: reject,
    };
    question(side, [type === 'string' ? 'GET' : 'DUMP', key]);
    side.connection.expect(new BulksReader(sink, 1));
  });
}

/** The commands that give a value's elements, and how many items make one. */
const readers: Readonly<Record<string, { words: (key: Buffer) => Words[]; sorted: number }>> = {
  list: { words: (key) => [['LRANGE', key, 0, -1]], sorted: 0 },
  set: { words: (key) => [['SMEMBERS', key]], sorted: 1 },
  hash: { words: (key) => [['HGETALL', key]], sorted: 2 },
  zset: { words: (key) => [['ZRANGE', key, 0, -1, 'WITHSCORES']], sorted: 2 },
  stream: {
    words: (key) => [
      ['XRANGE', key, '-', '+'],
      ['XINFO', 'STREAM', key, 'FULL', 'COUNT', 0],
    ],
    sorted: 0,
  },
};

type Words = (string | number | Buffer)[];

async function sameElements(
  source: Side,
  target: Side,
  key: Buffer,
  name: Buffer,
  type: string,
): Promise<boolean> {
  const reader = readers[type];
  if (!reader) return false;
  const theirs = reader.words(name);
  for (const [at, words] of reader.words(key).entries()) {
    const [one, other] = await Promise.all([ask(source, words), ask(target, theirs[at] ?? [])]);
    if (one instanceof ErrorReply || other instanceof ErrorReply) return false;
    if (elements(one, reader.sorted, type) !== elements(other, reader.sorted, type)) return false;
  }
  return true;
}

function ask(side: Side, words: Words): Promise<Reply> {
  return new Promise((resolve, reject) => {
    question(side, words);
    const settle = (reply: Reply): void => {
      if (reply instanceof ErrorReply && isPassing(reply.text)) reject(new Refusal(reply.text));
      else resolve(reply);
    };
    side.connection.expect(new ReplyReader(settle, reject, elementBytesLimit));
  });
}

function question({ connection, asking }: Side, words: Words): void {
  if (asking) connection.call('ASKING').catch(() => undefined);
  connection.out.append(command(...words));
}

/** What differs though the value does not: sizes and times of a stream's insides. */
const passingFields: ReadonlySet<string> = new Set([
  'radix-tree-keys',
  'radix-tree-nodes',
  'seen-time',
  'active-time',
]);

function elements(reply: Reply, itemsPerElement: number, type: string): string {
  if (type === 'stream') return JSON.stringify(withoutPassing(reply));
  const items = (reply as Reply[]).map((item) => (item as Buffer).toString('latin1'));
  if (itemsPerElement === 0) return JSON.stringify(items);
  const grouped: string[] = [];
  for (let at = 0; at < items.length; at += itemsPerElement) {
    const second = items[at + 1];
    // Servers write the same score in different ways.
    const more = type === 'zset' ? Number(second?.replace('inf', 'Infinity')) : second;
    grouped.push(JSON.stringify(itemsPerElement === 1 ? [items[at]] : [items[at], String(more)]));
  }
  return JSON.stringify(grouped.sort());
}

function withoutPassing(reply: Reply): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString('latin1');
  if (!Array.isArray(reply)) return reply;
  const kept: unknown[] = [];
  for (let at = 0; at < reply.length; at++) {
    const item = withoutPassing(reply[at] as Reply);
    if (typeof item === 'string' && passingFields.has(item)) at++;
    else if (item === 'pel') kept.push(item, withoutTimes(reply[++at]));
    else kept.push(item);
  }
  return kept;
}

/**
 * Pending entries without the time of their delivery, the last number but one: no command sets it
 * to the millisecond.
 */
function withoutTimes(pending: Reply | undefined): unknown {
  if (!Array.isArray(pending)) return pending === undefined ? undefined : withoutPassing(pending);
  return pending.map((row) => {
    const items = withoutPassing(row);
    return Array.isArray(items) ? items.toSpliced(-2, 1) : items;
  });
}
