/**
 * Values of many keys, held only as far as it takes to compare them with those of another server:
 * small ones as they came, larger ones as a hash that is taken while they pass.
 */
import { createHash, type Hash } from 'node:crypto';
import { BulksReader, type FrameSink, lineText, type Reader } from '../redis/reply.js';
import { DOLLAR, headerEnd, headerLength, keysBuilder, MINUS } from '../redis/frames.js';
import type { Keys } from '../types.js';
import { ProtocolError } from '../errors.js';
import { NumbersReader } from '../redis/ask.js';

/** Frames up to this are held; hashing something so small would cost more than comparing it. */
const heldBytes = 1024;
/** What a frame is taken for ahead of the first one. */
const usualBytes = 80;

const nil = -1;
const refused = -2;

export interface Values {
  /** Bytes of each value; less than 0: the key has no value. */
  readonly lengths: Float64Array;
  /** The frame of each, as far as it matters; empty where there is no value, or a hash of it. */
  readonly held: Keys;
  readonly hashes: ReadonlyMap<number, string>;
  /** What servers said instead of a value. */
  readonly refusals: ReadonlyMap<number, string>;
  /** How many have no value. */
  readonly absentCount: number;
}

/**
 * @param cut how many bytes at the end of each value don't matter (a payload's version and checksum).
 * @param shape whether the values come as one array reply, or one by one.
 */
export function valuesReader(
  count: number,
  shape: 'array' | 'separate',
  cut: number,
  resolve: (values: Values) => void,
  reject: (error: Error) => void,
): Reader {
  const lengths = new Float64Array(count);
  const held = keysBuilder(count, count * usualBytes);
  const hashes = new Map<number, string>();
  const refusals = new Map<number, string>();
  let place = 0;
  let absentCount = 0;
  let hash: Hash | undefined;
  /** Bytes of the frame that still matter. */
  let wanted = 0;

  function open(valueBytes: number): void {
    lengths[place] = valueBytes;
    wanted = String(valueBytes).length + 3 + Math.max(0, valueBytes - cut);
    hash = wanted > heldBytes ? createHash('sha1') : undefined;
  }

  function piece(bytes: Buffer, start: number, end: number): void {
    const stop = Math.min(end, start + wanted);
    wanted -= stop - start;
    if (stop === start) return;
    if (hash) hash.update(bytes.subarray(start, stop));
    else held.piece(bytes, start, stop);
  }

  function shut(): void {
    if (hash) hashes.set(place, hash.digest('base64'));
    held.seal();
    place++;
  }

  function none(length: typeof nil | typeof refused): void {
    lengths[place++] = length;
    held.seal();
    absentCount++;
  }

  const sink: FrameSink = {
    open,
    bytes: piece,
    shut,
    whole(bytes, start, end, valueBytes) {
      if (end - start > heldBytes) {
        open(valueBytes);
        piece(bytes, start, end);
        shut();
        return;
      }
      lengths[place++] = valueBytes;
      held.add(bytes, start, end - 2 - Math.min(cut, valueBytes));
    },
    nil() {
      none(nil);
    },
    refused(text) {
      // In the place of an array it stands for all of it.
      const last = shape === 'array' ? count : place + 1;
      while (place < last) {
        refusals.set(place, text);
        none(refused);
      }
    },
    end() {
      resolve({ lengths, held: held.take(), hashes, refusals, absentCount });
    },
    fail: reject,
  };
  return new BulksReader(sink, count, shape);
}

export function isThere(values: Values, place: number): boolean {
  return (values.lengths[place] as number) >= 0;
}

/** Whether both have as many values, and the same at each place. */
export function areSame(one: Values, other: Values): boolean {
  const held = one.hashes.size + one.absentCount + other.hashes.size + other.absentCount === 0;
  // Each frame begins with its length, so what is the same as a whole is the same in each part.
  return held && one.held.bytes.equals(other.held.bytes);
}

/** Whether both have a value, and the same: one at this place, the other at that. */
export function isSame(one: Values, place: number, other: Values, otherPlace: number): boolean {
  const length = one.lengths[place] as number;
  if (length < 0 || length !== other.lengths[otherPlace]) return false;
  const hash = one.hashes.get(place);
  if (hash !== undefined) return hash === other.hashes.get(otherPlace);
  const [from, end] = [one.held.starts[place], one.held.starts[place + 1]];
  const otherFrom = other.held.starts[otherPlace];
  const otherEnd = other.held.starts[otherPlace + 1];
  return one.held.bytes.compare(other.held.bytes, otherFrom, otherEnd, from, end) === 0;
}

/*
 * Values together with their deadlines: each key is asked for both, one right behind the other, because
 * most of what a question about a small value costs a server is to find the key in its memory.
 */

export interface DatedValues {
  readonly values: Values;
  /** As PTTL tells; undefined: they were not asked for. */
  readonly ttls: Float64Array | undefined;
}

/**
 * Reads an answer to PTTL and a value in turn.
 * @param values reads the values, one by one.
 */
export function datedReader(
  count: number,
  values: Reader,
  resolve: (ttls: Float64Array) => void,
  reject: (error: Error) => void,
): Reader {
  let due: 'number' | 'value' = 'number';
  /** Bytes of the value that have yet to come. */
  let remaining = 0;
  const numbers = new NumbersReader(count, resolve, reject);
  const reader = { done: false, fail, take };

  function fail(error: Error): void {
    numbers.fail(error);
    values.fail(error);
  }

  function take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && !reader.done) {
      if (remaining > 0) {
        const stop = Math.min(end, at + remaining);
        values.take(bytes, at, stop);
        remaining -= stop - at;
        at = stop;
        if (remaining > 0) return at;
        due = 'number';
        reader.done = values.done;
      } else if (due === 'number') {
        const stop = lineEnd(bytes, at, end);
        if (stop === -1) return at;
        at = numbers.take(bytes, at, stop);
        due = 'value';
      } else {
        const stop = valueEnd(bytes, at, end);
        if (stop === -1) return at;
        remaining = stop - at;
      }
    }
    return at;
  }

  return reader;
}

/** Where the line ends, CRLF included; -1 while it is not whole. */
function lineEnd(bytes: Buffer, from: number, end: number): number {
  if (bytes[from] === MINUS) {
    const text = lineText(bytes, from, end);
    return text === undefined ? -1 : from + text.length + 3;
  }
  const cr = headerEnd(bytes, from, end);
  return cr === -1 ? -1 : cr + 2;
}

/** Where the value ends, wherever that is; -1 while its header is not whole. */
function valueEnd(bytes: Buffer, from: number, end: number): number {
  const stop = lineEnd(bytes, from, end);
  if (stop === -1 || bytes[from] === MINUS) return stop;
  if (bytes[from] !== DOLLAR) throw new ProtocolError('a reply that is not a bulk string');
  const length = headerLength(bytes, from, stop - 2);
  return length < 0 ? stop : stop + length + 2;
}
