/**
 * Frames, and runs of key frames (`Keys`): building, taking apart, choosing some.
 * All of a run's keys live in one buffer, so a batch costs two allocations, not one per key.
 */
import { ProtocolError } from '../errors.js';
import type { Keys } from '../types.js';

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

/*
 * RESP on the byte level: how a command is put together and where a reply's parts end.
 * Only what the data plane needs, and only on offsets, so that nothing is allocated per key.
 * The wire format is that of https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2).
 */

/*
 * Copies of some dozens of bytes, which is what keys and most values are: four bytes at a time, which
 * is cheaper than a call of `Buffer.copy` is up to some hundreds, and than one byte at a time is.
 */

/** So many bytes behind the end are copied along: the target needs room for them, and so has the source. */
export const slackBytes = 3;

/** Up to so many bytes this is the cheaper way. */
export const shortBytes = 256;

/** All of the memory from where the bytes begin, so that what stands behind them serves as slack. */
export function viewFrom(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset);
}

/** The same bytes, with slack behind them that is their own. */
export function withSlack(bytes: Buffer): Buffer {
  const larger = Buffer.alloc(bytes.length + slackBytes);
  bytes.copy(larger);
  return larger.subarray(0, bytes.length);
}

/** Copies `length` bytes and up to three more, which mean nothing: the next write covers them. */
export function copyShort(
  from: DataView,
  start: number,
  to: DataView,
  at: number,
  length: number,
): void {
  for (let done = 0; done < length; done += 4) {
    to.setInt32(at + done, from.getInt32(start + done, true), true);
  }
}

export const CR = 13;
export const LF = 10;
export const DOLLAR = 36;
export const STAR = 42;
export const PLUS = 43;
export const MINUS = 45;
export const COLON = 58;
/** Of RESP3: a push, a map, and null. */
export const PUSH = 62;
export const MAP = 37;
export const NULL = 95;
const ZERO = 48;

/**
 * Integers on the wire are signed 64-bit ones (a TTL may be that large): 19 digits, since doubles
 * can't tell 2^63 from its neighbours.
 */
const integerLimit = 1e19;

/** A payload of DUMP ends with its version (two bytes) and a checksum (eight). */
export const payloadTrailerBytes = 10;

/** Longest header line (`$<length>`, `*<count>`, `:<integer>`) that a server may send. */
const headerLimit = 32;

/** A command as bytes. For commands sent once a batch or less; the rest is written in place. */
export function command(...args: readonly (string | number | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${String(args.length)}\r\n`)];
  for (const arg of args) parts.push(frame(Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg))));
  return Buffer.concat(parts);
}

/** The head of a command whose further `argCount` arguments follow as frames. */
export function commandHead(
  argCount: number,
  ...args: readonly (string | number | Buffer)[]
): Buffer {
  const whole = command(...args);
  return Buffer.concat([
    Buffer.from(`*${String(args.length + argCount)}`),
    whole.subarray(whole.indexOf('\r\n')),
  ]);
}

/** The head of a command about one key, whose frame follows; with slack for quick copies of it. */
export function keyCommandHead(...words: readonly string[]): Buffer {
  return withSlack(commandHead(1, ...words));
}

/** What stands ahead of a bulk string of so many bytes; most are short, and made once. */
export function bulkHead(byteLength: number): Buffer {
  const known = bulkHeads[byteLength];
  if (known) return known;
  const head = Buffer.from(`$${String(byteLength)}\r\n`, 'latin1');
  if (byteLength < knownHeads) bulkHeads[byteLength] = head;
  return head;
}
const knownHeads = 1024;
const bulkHeads: (Buffer | undefined)[] = Array.from({ length: knownHeads });

/** One bulk string frame around these bytes. */
export function frame(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`$${String(bytes.length)}\r\n`), bytes, Buffer.from('\r\n')]);
}

/**
 * Where the line that starts at `from` ends (the position of its CR), or -1 while it is incomplete.
 * @throws ProtocolError when a header is longer than any number can be, or its CR stands alone.
 */
export function headerEnd(bytes: Buffer, from: number, end: number): number {
  const limit = from + headerLimit < end ? from + headerLimit : end;
  for (let at = from + 1; at < limit; at++) {
    if (bytes[at] !== CR) continue;
    if (at + 1 === end) return -1;
    if (bytes[at + 1] !== LF) throw new ProtocolError('a reply header with a CR within');
    return at;
  }
  if (end - from > headerLimit) throw new ProtocolError('a reply header without an end');
  return -1;
}

/**
 * The integer between the type byte at `from` and the CR at `lineEnd`; beyond 2^53 the nearest
 * double. Written as servers write it and take it back: a header passes on as it came.
 * @throws ProtocolError when it is not a number, or beyond 19 digits.
 */
export function headerNumber(bytes: Buffer, from: number, lineEnd: number): number {
  let at = from + 1;
  const negative = bytes[at] === MINUS;
  if (negative) at++;
  if (at === lineEnd) throw new ProtocolError('a reply header without its number');
  if (bytes[at] === ZERO && (negative || at + 1 < lineEnd)) {
    throw new ProtocolError('a reply header with a number written oddly');
  }
  let value = 0;
  for (; at < lineEnd; at++) {
    const digit = (bytes[at] as number) - ZERO;
    if (digit < 0 || digit > 9) throw new ProtocolError('a reply header that is not a number');
    value = value * 10 + digit;
  }
  if (value >= integerLimit) throw new ProtocolError('a number out of range');
  return negative ? -value : value;
}

/**
 * The length between the type byte at `from` and the CR at `lineEnd`; -1 stands for nil.
 * @throws ProtocolError when it is none.
 */
export function headerLength(bytes: Buffer, from: number, lineEnd: number): number {
  const length = headerNumber(bytes, from, lineEnd);
  if (length < -1 || length > Number.MAX_SAFE_INTEGER) {
    throw new ProtocolError('a reply length out of range');
  }
  return length;
}
