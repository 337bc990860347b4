/** One question about many keys, pipelined; the keys go out as the frames that they are. */
import { ProtocolError } from '../errors.js';
import { askNumbers as askNumbersBy } from '../redis/ask.js';
import type { Connection } from '../redis/connection.js';
import {
  command,
  commandHead,
  keyCommandHead,
  noKeys,
  payloadTrailerBytes,
  PLUS,
} from '../redis/frames.js';
import { ErrorReply, lineText, type Reader, ReplyReader, textOf } from '../redis/reply.js';
import type { Keys } from '../types.js';
import { type DatedValues, datedReader, type Values, valuesReader } from './held-values.js';
import { type RawReplies, rawReader } from './raw-replies.js';

const heads = {
  GET: keyCommandHead('GET'),
  DUMP: keyCommandHead('DUMP'),
  PTTL: keyCommandHead('PTTL'),
  TYPE: keyCommandHead('TYPE'),
  EXISTS: keyCommandHead('EXISTS'),
};

const nothing = Buffer.alloc(0);

/** The two servers of keys that are compared many at a time. */
export interface Ends {
  readonly source: Connection;
  readonly node: Connection;
}

/** Strings by one command: only where all keys may stand in one. */
export function askTogether(connection: Connection, keys: Keys): Promise<Values> {
  connection.out.append(commandHead(keys.count, 'MGET'));
  connection.out.append(keys.bytes);
  return new Promise((resolve, reject) => {
    connection.expect(valuesReader(keys.count, 'array', 0, resolve, reject));
  });
}

/** @param dated whether their deadlines are asked for too. */
export async function askValues(
  connection: Connection,
  word: 'GET' | 'DUMP',
  keys: Keys,
  dated: boolean,
): Promise<DatedValues> {
  const { count } = keys;
  const cut = word === 'DUMP' ? payloadTrailerBytes : 0;
  if (!dated) connection.out.askEach(heads[word], keys);
  else {
    const { bytes, starts } = keys;
    for (let place = 0; place < count; place++) {
      const [start, end] = [starts[place] as number, starts[place + 1] as number];
      // The key stands twice: behind each of the two heads.
      connection.out.store(heads.PTTL, bytes, start, end, heads[word], bytes, start, end, nothing);
    }
  }
  let ttls: Promise<Float64Array> | undefined;
  const values = new Promise<Values>((resolve, reject) => {
    const reader = valuesReader(count, 'separate', cut, resolve, reject);
    if (!dated) connection.expect(reader);
    else {
      ttls = new Promise((settle, fail) => {
        connection.expect(datedReader(count, reader, settle, fail));
      });
    }
  });
  const [all, theirTtls] = await Promise.all([values, ttls]);
  return { values: all, ttls: theirTtls };
}

/** NaN where the server refuses. */
export function askNumbers(
  connection: Connection,
  word: 'PTTL' | 'EXISTS',
  keys: Keys,
): Promise<Float64Array> {
  return askNumbersBy(connection, heads[word], keys);
}

/** Their types as TYPE names them; where the server refuses, what it says. */
export function askTypes(connection: Connection, keys: Keys): Promise<readonly string[]> {
  if (keys.count === 0) return Promise.resolve([]);
  connection.out.askEach(heads.TYPE, keys);
  return new Promise((resolve, reject) => {
    connection.expect(linesReader(keys.count, resolve, reject));
  });
}

/** How many of them there are; undefined where the server takes one key at a time (before 3.0.3). */
export function askHowMany(connection: Connection, keys: Keys): Promise<number | undefined> {
  connection.out.append(commandHead(keys.count, 'EXISTS'));
  connection.out.append(keys.bytes);
  return new Promise((resolve, reject) => {
    connection.expect(
      new ReplyReader((reply) => {
        resolve(reply instanceof ErrorReply ? undefined : Number(textOf(reply)));
      }, reject),
    );
  });
}

/** What stands ahead of a key in a command, and behind it. */
export interface Around {
  readonly head: Buffer;
  readonly tail: Buffer;
}

export function wordsAround(head: readonly string[], tail: readonly (string | number)[]): Around {
  const whole = command(...tail);
  return {
    head: commandHead(1 + tail.length, ...head),
    tail: whole.subarray(whole.indexOf('\r\n') + 2),
  };
}

/** The same question about each key; error replies are replies. */
export function askRaw(connection: Connection, keys: Keys, around: Around): Promise<RawReplies> {
  if (keys.count === 0) return Promise.resolve(noKeys);
  for (let place = 0; place < keys.count; place++) writeOne(connection, keys, place, around);
  return new Promise((resolve, reject) => {
    connection.expect(rawReader(keys.count, resolve, reject));
  });
}

/** Sends the question about the key at this place. */
export function writeOne(
  { out }: Connection,
  { bytes, starts }: Keys,
  place: number,
  { head, tail }: Around,
): void {
  out.copy(head, 0, head.length);
  out.copy(bytes, starts[place] as number, starts[place + 1] as number);
  if (tail.length > 0) out.copy(tail, 0, tail.length);
}

function linesReader(
  count: number,
  resolve: (lines: readonly string[]) => void,
  reject: (error: Error) => void,
): Reader {
  const lines: string[] = [];
  const reader = {
    done: false,
    fail: reject,
    take(bytes: Buffer, from: number, end: number): number {
      let at = from;
      while (at < end && lines.length < count) {
        const text = lineText(bytes, at, end);
        if (text === undefined) return at;
        if (bytes[at] !== PLUS && !text.includes(' ')) {
          throw new ProtocolError('a reply that is not a status');
        }
        lines.push(text);
        at += text.length + 3;
      }
      if (lines.length === count) {
        reader.done = true;
        resolve(lines);
      }
      return at;
    },
  };
  return reader;
}
