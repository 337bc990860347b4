/**
 * Runs of key frames (`Keys`): building, taking apart, choosing some.
 * All of a run's keys live in one buffer, so a batch costs two allocations, not one per key.
 */
import type { Keys } from '../types.js';
import { bulkHead, copyShort, CR, shortBytes, slackBytes, viewFrom } from './frames.js';

export interface KeysBuilder {
  readonly count: number;
  readonly byteLength: number;
  /** Appends the frame `bytes[start .. end)`. */
  add(bytes: Buffer, start: number, end: number): void;
  /** Appends the frame of a key. */
  addKey(key: Buffer): void;
  /** Appends a piece of a frame; `seal` ends it. */
  readonly piece: (bytes: Buffer, start: number, end: number) => void;
  readonly seal: () => void;
  /** Appends `bytes[start .. end)`, frames of so many keys, each so long as `lengths` says. */
  addRun(bytes: Buffer, start: number, end: number, lengths: Uint32Array, count: number): void;
  /** What was added so far; the builder starts anew. */
  take(): Keys;
}

const nothing = Buffer.alloc(0);
const lineEnd = Buffer.from('\r\n');
/** For pieces of a frame, which come from many buffers: a view of each would cost more. */
const tinyBytes = 12;
const tinyOfAnotherBytes = 16;

const nowhere = new Uint32Array(0);

/** A run without keys. */
export const noKeys: Keys = { bytes: nothing, starts: new Uint32Array(1), count: 0 };

/**
 * @param expectedCount how many keys a run usually holds; it grows when more come.
 * @param expectedBytes how many bytes they usually come to; undefined: as a run before, or a guess.
 */
export function keysBuilder(expectedCount: number, expectedBytes?: number): KeysBuilder {
  let bytes: Buffer = nothing;
  let view = viewFrom(bytes);
  let lastFrom: Buffer = nothing;
  let fromView = viewFrom(nothing);
  // Most builders are used again and again, and at last for nothing.
  let starts = nowhere;
  let count = 0;
  let used = 0;
  let usualBytes = expectedBytes ?? expectedCount * 32;

  function piece(from: Buffer, start: number, end: number): void {
    const length = end - start;
    if (used + length + slackBytes > bytes.length) makeRoom(length);
    if (length <= tinyBytes || (length <= tinyOfAnotherBytes && from !== lastFrom)) {
      for (let at = 0; at < length; at++) bytes[used + at] = from[start + at] as number;
      used += length;
      return;
    }
    if (from !== lastFrom) {
      lastFrom = from;
      fromView = viewFrom(from);
    }
    if (length <= shortBytes && end + slackBytes <= fromView.byteLength) {
      copyShort(fromView, start, view, used, length);
    } else {
      from.copy(bytes, used, start, end);
    }
    used += length;
  }

  function makeRoom(length: number): void {
    const larger = Buffer.allocUnsafeSlow(
      Math.max(usualBytes, bytes.length * 2, used + length + slackBytes),
    );
    bytes.copy(larger, 0, 0, used);
    bytes = larger;
    view = viewFrom(larger);
  }

  function seal(end = used): void {
    if (count + 1 >= starts.length) {
      const larger = new Uint32Array(Math.max(expectedCount + 2, starts.length * 2));
      larger.set(starts);
      starts = larger;
    }
    starts[++count] = end;
  }

  return {
    get count() {
      return count;
    },
    get byteLength() {
      return used;
    },
    add(from, start, end) {
      piece(from, start, end);
      seal();
    },
    addKey(key) {
      const head = bulkHead(key.length);
      piece(head, 0, head.length);
      piece(key, 0, key.length);
      piece(lineEnd, 0, lineEnd.length);
      seal();
    },
    piece,
    seal,
    addRun(from, start, end, lengths, keyCount) {
      let keyEnd = used;
      piece(from, start, end);
      for (let at = 0; at < keyCount; at++) {
        keyEnd += lengths[at] as number;
        seal(keyEnd);
      }
    },
    take() {
      const keys = {
        bytes: bytes.subarray(0, used),
        starts: count > 0 ? starts : noKeys.starts,
        count,
      };
      // An eighth more, so that the next run finds room.
      usualBytes = used + (used >>> 3) + slackBytes;
      bytes = nothing;
      lastFrom = nothing;
      starts = nowhere;
      count = 0;
      used = 0;
      return keys;
    },
  };
}

/** Those keys of a run whose places are listed. The run itself when that is all of them. */
export function chosen(keys: Keys, places: readonly number[]): Keys {
  if (places.length === keys.count) return keys;
  const builder = keysBuilder(places.length);
  for (const place of places) {
    builder.add(keys.bytes, keys.starts[place] as number, keys.starts[place + 1] as number);
  }
  return withSides(builder.take(), keys, (side) => chosen(side, places));
}

/** Parts the keys of which this holds from the others; both in order. */
export function parted(keys: Keys, holds: (place: number) => boolean): [those: Keys, others: Keys] {
  const places: [those: number[], others: number[]] = [[], []];
  for (let place = 0; place < keys.count; place++) places[holds(place) ? 0 : 1].push(place);
  return [chosen(keys, places[0]), chosen(keys, places[1])];
}

/** The same keys with these names in the cluster. */
export function named(keys: Keys, names: Keys | undefined): Keys {
  return names ? { ...keys, names } : keys;
}

/** What the keys are called in the cluster. */
export function namesOf(keys: Keys): Keys {
  return keys.names ?? keys;
}

/** The keys `from` up to, not including, `to` of a run. */
export function slice(keys: Keys, from: number, to: number): Keys {
  if (from === 0 && to === keys.count) return keys;
  const first = keys.starts[from] as number;
  const starts = keys.starts.slice(from, to + 1);
  for (let at = 0; at < starts.length; at++) starts[at] = (starts[at] as number) - first;
  const part = { bytes: keys.bytes.subarray(first, keys.starts[to]), starts, count: to - from };
  return withSides(part, keys, (side) => slice(side, from, to));
}

/** The same is done to what stands beside keys as was done to them. */
function withSides(part: Keys, { names, values }: Keys, change: (side: Keys) => Keys): Keys {
  return { ...named(part, names && change(names)), ...(values && { values: change(values) }) };
}

/** Several runs as one. */
export function joined(runs: readonly Keys[]): Keys {
  const [only, ...others] = runs.filter(({ count }) => count > 0);
  if (only && others.length === 0) return only;
  const builder = keysBuilder(runs.reduce((sum, run) => sum + run.count, 1));
  for (const run of runs) {
    for (let at = 0; at < run.count; at++) {
      builder.add(run.bytes, run.starts[at] as number, run.starts[at + 1] as number);
    }
  }
  const isNamed = runs.some((run) => run.names);
  const isValued = runs.some((run) => run.values);
  const all = named(builder.take(), isNamed ? joined(runs.map(namesOf)) : undefined);
  return isValued ? { ...all, values: joined(runs.map(valuesOrNone)) } : all;
}

/** The values beside the keys; empty ones where there are none. */
function valuesOrNone({ values, count }: Keys): Keys {
  return values ?? { bytes: nothing, starts: new Uint32Array(count + 1), count };
}

/** Where the key itself starts within its frame: behind `$<length>\r\n`. */
export function keyStart(bytes: Buffer, frameStart: number): number {
  let at = frameStart + 1;
  while (bytes[at] !== CR) at++;
  return at + 2;
}

/** The bare key at this place, without its frame; a view, not a copy. */
export function keyAt(keys: Keys, place: number): Buffer {
  const start = keyStart(keys.bytes, keys.starts[place] as number);
  return keys.bytes.subarray(start, (keys.starts[place + 1] as number) - 2);
}

/*
 * The hash slot of a key, computed where the key stands in a buffer.
 *
 * Own code because it runs once per key on bytes that must not be sliced, and because
 * cluster-key-slot 1.1.2 takes `{}foo}` for a key with the hash tag `foo`: the servers stop at the
 * first `}`, find the tag empty, and hash the whole key (keyHashSlot in Redis' cluster.c).
 */

const crc16Table = new Uint16Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  crc16Table[byte] = crc;
}

export const slotCount = 16384;

const openBrace = 123;
const closeBrace = 125;

/** The slot, 0 to 16383, of the key `bytes[start .. end)`. */
export function slotOf(bytes: Buffer, start: number, end: number): number {
  let crc = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    // Most keys have no brace, so that is looked for on the way.
    if (byte === openBrace) return slotOfTagged(bytes, start, end, at);
    crc = ((crc << 8) & 0xffff) ^ (crc16Table[(crc >> 8) ^ byte] as number);
  }
  return crc & (slotCount - 1);
}

/** The slot of the key at this place, by the name that it gets in the cluster. */
export function slotAt(keys: Keys, place: number): number {
  const { bytes, starts } = namesOf(keys);
  return slotOf(bytes, keyStart(bytes, starts[place] as number), (starts[place + 1] as number) - 2);
}

/** @param open where the first brace stands. */
function slotOfTagged(bytes: Buffer, start: number, end: number, open: number): number {
  let close = open + 1;
  while (close < end && bytes[close] !== closeBrace) close++;
  const isTag = close < end && close > open + 1;
  const from = isTag ? open + 1 : start;
  const to = isTag ? close : end;
  let crc = 0;
  for (let at = from; at < to; at++) {
    crc = ((crc << 8) & 0xffff) ^ (crc16Table[(crc >> 8) ^ (bytes[at] as number)] as number);
  }
  return crc & (slotCount - 1);
}
