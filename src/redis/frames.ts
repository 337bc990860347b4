/**
 * RESP on the byte level: how a command is put together and where a reply's parts end.
 * Only what the data plane needs, and only on offsets, so that nothing is allocated per key.
 * The wire format is that of https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2).
 */
import { ProtocolError } from '../errors.js';

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
