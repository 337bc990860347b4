/**
 * Values of many keys, held only as far as it takes to compare them with those of another server:
 * small ones as they came, larger ones as a hash that is taken while they pass.
 */
import { createHash, type Hash } from 'node:crypto';
import { BulksReader, type FrameSink } from '../redis/bulks.js';
import type { Reader } from '../redis/reader.js';

/** Frames up to this are held; hashing something so small would cost more than comparing it. */
const heldBytes = 1024;

const nil = -1;
const refused = -2;

export interface Values {
  /** Bytes of each value; less than 0: there is none. */
  readonly lengths: Float64Array;
  /** Where a held value begins and ends in `bytes`. */
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
  bytes: Buffer;
  readonly hashes: Map<number, string>;
  /** What servers said instead of a value. */
  readonly refusals: Map<number, string>;
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
  const values: Values = {
    lengths: new Float64Array(count),
    starts: new Uint32Array(count),
    ends: new Uint32Array(count),
    bytes: Buffer.allocUnsafe(count * 64),
    hashes: new Map(),
    refusals: new Map(),
  };
  let place = 0;
  let used = 0;
  let hash: Hash | undefined;
  /** Bytes of the frame that still matter. */
  let wanted = 0;

  function hold(bytes: Buffer, start: number, end: number): void {
    if (used + end - start > values.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(values.bytes.length * 2, used + end - start));
      values.bytes.copy(larger, 0, 0, used);
      values.bytes = larger;
    }
    bytes.copy(values.bytes, used, start, end);
    used += end - start;
  }

  const sink: FrameSink = {
    open(valueBytes) {
      values.lengths[place] = valueBytes;
      values.starts[place] = used;
      wanted = String(valueBytes).length + 3 + Math.max(0, valueBytes - cut);
      hash = wanted > heldBytes ? createHash('sha1') : undefined;
    },
    bytes(bytes, start, end) {
      const stop = Math.min(end, start + wanted);
      wanted -= stop - start;
      if (stop === start) return;
      if (hash) hash.update(bytes.subarray(start, stop));
      else hold(bytes, start, stop);
    },
    shut() {
      if (hash) values.hashes.set(place, hash.digest('base64'));
      values.ends[place++] = used;
    },
    nil() {
      values.lengths[place++] = nil;
    },
    refused(text) {
      // In the place of an array it stands for all of it.
      const last = shape === 'array' ? count : place + 1;
      for (; place < last; place++) {
        values.lengths[place] = refused;
        values.refusals.set(place, text);
      }
    },
    end() {
      resolve(values);
    },
    fail: reject,
  };
  return new BulksReader(sink, count, shape);
}

export function isThere(values: Values, place: number): boolean {
  return (values.lengths[place] as number) >= 0;
}

/** Whether both have a value, and the same: one at this place, the other at that. */
export function isSame(one: Values, place: number, other: Values, otherPlace: number): boolean {
  const length = one.lengths[place] as number;
  if (length < 0 || length !== other.lengths[otherPlace]) return false;
  const hash = one.hashes.get(place);
  if (hash !== undefined) return hash === other.hashes.get(otherPlace);
  const [from, end] = [one.starts[place], one.ends[place]];
  const [otherFrom, otherEnd] = [other.starts[otherPlace], other.ends[otherPlace]];
  return one.bytes.compare(other.bytes, otherFrom, otherEnd, from, end) === 0;
}
