/**
 * Replies of any shape, held as the bytes that they came in: what two servers say in the same bytes need
 * not be looked into, and only what they say in different ones is taken apart.
 */
import { ProtocolError } from '../errors.js';
import {
  COLON,
  DOLLAR,
  headerEnd,
  headerLength,
  keysBuilder,
  MINUS,
  PLUS,
  STAR,
} from '../redis/frames.js';
import { checkLineEnd, lineText, type Reader, type Reply, ReplyReader } from '../redis/reply.js';
import type { Keys } from '../types.js';

/** What is held of all replies to one question. What comes behind it is read, and not looked at. */
const heldBytes = 4 * 1024 * 1024;
/** What a reply is taken for ahead of the first one. */
const usualBytes = 80;

const ZERO = 48;

/** One for each key; without any bytes where they were too many to be held. */
export type RawReplies = Keys;

/** Reads so many replies. */
export function rawReader(
  count: number,
  resolve: (replies: RawReplies) => void,
  reject: (error: Error) => void,
): Reader {
  const held = keysBuilder(count, count * usualBytes);
  let place = 0;
  /** Parts of the present reply that have yet to begin. */
  let due = 1;
  /** Bytes of a bulk string that have yet to come, with the line end behind it. */
  let remaining = 0;
  /** How far what is held goes: up to the reply that was too much. */
  let heldCount = Infinity;
  const reader = { done: false, fail: reject, take };

  function hold(bytes: Buffer, start: number, end: number): void {
    if (place >= heldCount) return;
    if (held.byteLength + end - start > heldBytes) heldCount = place;
    else held.piece(bytes, start, end);
  }

  function take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    let start = from;
    while (at < end) {
      if (remaining > 0) {
        const length = Math.min(remaining, end - at);
        checkLineEnd(bytes, at + remaining - 2, at, at + length);
        remaining -= length;
        at += length;
        if (remaining > 0) break;
      } else {
        const next = takeHead(bytes, at, end);
        if (next === at) break;
        at = next;
      }
      if (remaining > 0 || due > 0) continue;
      hold(bytes, start, at);
      start = at;
      held.seal();
      due = 1;
      if (++place < count) continue;
      reader.done = true;
      const replies = held.take();
      // The one that was too much was held in part.
      resolve(heldCount < count ? firstOf(replies, heldCount) : replies);
      return at;
    }
    if (at > start) hold(bytes, start, at);
    return at;
  }

  /** Takes a line, and notes what it announces. @returns where it ends, or where it began if it is not whole. */
  function takeHead(bytes: Buffer, from: number, end: number): number {
    const type = bytes[from];
    if (type === PLUS || type === MINUS) {
      const text = lineText(bytes, from, end);
      if (text === undefined) return from;
      due--;
      return from + text.length + 3;
    }
    if (type !== DOLLAR && type !== STAR && type !== COLON) {
      throw new ProtocolError(`a reply that starts with byte ${String(type)}`);
    }
    const cr = headerEnd(bytes, from, end);
    if (cr === -1) return from;
    due--;
    if (type === COLON) return cr + 2;
    const length = headerLength(bytes, from, cr);
    if (type === STAR) due += Math.max(0, length);
    else if (length >= 0) remaining = length + 2;
    return cr + 2;
  }

  return reader;
}

/** The first of them, and nothing in the places of the others. */
function firstOf({ bytes, starts, count }: RawReplies, heldCount: number): RawReplies {
  return { bytes, starts: starts.map((start, at) => (at > heldCount ? 0 : start)), count };
}

/** Whether it holds something: no error, no nil, and no empty array. */
export function isFull({ bytes, starts }: RawReplies, place: number): boolean {
  const start = starts[place] as number;
  if ((starts[place + 1] as number) - start < 4) return false;
  const [type, first] = [bytes[start], bytes[start + 1]];
  if (type === DOLLAR) return first !== MINUS;
  return type === STAR && first !== MINUS && first !== ZERO;
}

/** Whether both were held, and are the same. */
export function areAlike(one: RawReplies, other: RawReplies, place: number): boolean {
  const [from, end] = [one.starts[place] as number, one.starts[place + 1] as number];
  const [otherFrom, otherEnd] = [other.starts[place] as number, other.starts[place + 1] as number];
  if (end <= from || end - from !== otherEnd - otherFrom) return false;
  return one.bytes.compare(other.bytes, otherFrom, otherEnd, from, end) === 0;
}

/** What it says; null where it was not held. */
export function replyAt({ bytes, starts }: RawReplies, place: number): Reply {
  let read: Reply = null;
  const reader = new ReplyReader(
    (reply) => (read = reply),
    () => undefined,
    heldBytes * 8,
  );
  const end = starts[place + 1] as number;
  for (let at = starts[place] as number; at < end && !reader.done;) {
    const next = reader.take(bytes, at, end);
    if (next === at) return null;
    at = next;
  }
  return read;
}

/** Up to so many rows are looked for one by one. */
const fewRows = 64;

/**
 * Whether two arrays of bulk strings hold the same rows in whatever order.
 * @param width how many bulk strings make a row; no two rows of an array may be the same.
 */
export function haveSameRows(
  one: RawReplies,
  other: RawReplies,
  place: number,
  width: number,
): boolean {
  const [ours, theirs] = [rowsOf(one, place, width), rowsOf(other, place, width)];
  if (ours?.length !== theirs?.length || !ours || !theirs) return false;
  const count = ours.length - 1;
  if (count > fewRows) {
    const text = ({ bytes }: RawReplies, rows: readonly number[], row: number): string =>
      bytes.toString('latin1', rows[row], rows[row + 1]);
    const known = new Set<string>();
    for (let row = 0; row < count; row++) known.add(text(other, theirs, row));
    for (let row = 0; row < count; row++) if (!known.has(text(one, ours, row))) return false;
    return true;
  }
  // As a rule what stood beside it stands beside it there too.
  let there = 0;
  for (let row = 0; row < count; row++) {
    let tries = 0;
    while (!isSameRow(one, ours, row, other, theirs, there)) {
      if (++tries === count) return false;
      there = (there + 1) % count;
    }
    there = (there + 1) % count;
  }
  return true;
}

function isSameRow(
  one: RawReplies,
  ours: readonly number[],
  row: number,
  other: RawReplies,
  theirs: readonly number[],
  there: number,
): boolean {
  const [from, end] = [ours[row] as number, ours[row + 1] as number];
  const otherFrom = theirs[there] as number;
  if (end - from !== (theirs[there + 1] as number) - otherFrom) return false;
  const [bytes, otherBytes] = [one.bytes, other.bytes];
  // From behind: rows often begin alike, with lengths at least.
  for (let at = end - from - 1; at >= 0; at--) {
    if (bytes[from + at] !== otherBytes[otherFrom + at]) return false;
  }
  return true;
}

/** Where each row begins, and the last ends; undefined: it is no array of rows of bulk strings. */
function rowsOf({ bytes, starts }: RawReplies, place: number, width: number): number[] | undefined {
  const start = starts[place] as number;
  const end = starts[place + 1] as number;
  if (end <= start || bytes[start] !== STAR) return undefined;
  const arrayEnd = headerEnd(bytes, start, end);
  const count = headerLength(bytes, start, arrayEnd);
  if (count < 0 || count % width !== 0) return undefined;
  let at = arrayEnd + 2;
  const rows = [at];
  for (let item = 1; item <= count; item++) {
    if (bytes[at] !== DOLLAR) return undefined;
    const cr = headerEnd(bytes, at, end);
    const length = headerLength(bytes, at, cr);
    if (length < 0) return undefined;
    at = cr + length + 4;
    if (item % width === 0) rows.push(at);
  }
  return rows;
}
