/**
 * Makes payloads of the answers to many small questions about elements (pages of scans, ranges of lists) while
 * they arrive: in the oldest form that each type has, which is a count, and every element as a string. All servers
 * have kept reading these (rdbLoadObject in rdb.c: RDB_TYPE_LIST, _SET, _ZSET, _HASH), and make of them what
 * they themselves would keep. So a value whose own payload a node does not know is stored by one command all the
 * same, with its deadline and its name.
 *
 * Everything goes into one piece of memory: what is asked for key by key costs more in buffers and promises
 * than in bytes.
 */
import { ProtocolError } from '../../errors.js';
import { largestReplyBytes } from '../../redis/ask.js';
import {
  CR,
  DOLLAR,
  headerEnd,
  headerLength,
  LF,
  MINUS,
  payloadTrailerBytes,
  STAR,
} from '../../redis/frames.js';
import { lineText, type Reader } from '../../redis/reply.js';
import { Crc64 } from '../../redis/crc64.js';

/** What an answer looks like: `*2`, a cursor and an array; an array; or one bulk string. */
export type Shape = 'page' | 'array' | 'one';

/** The numbers that files and payloads have for them, by what TYPE answers. */
export const plainTypes = { list: 1, set: 2, zset: 3, hash: 4 } as const;

/** The elements of one answer, each as a length and so many bytes: `bytes[from .. end)`. */
export interface HeldElements {
  readonly bytes: Buffer;
  readonly from: number;
  readonly end: number;
  readonly count: number;
  /** A page whose cursor says that more would come, or a refusal. */
  readonly isPartial: boolean;
}

const initialBytes = 128 * 1024;
/** `$`, up to ten digits and CRLF. */
const longestHeader = 13;
const longestLength = 5;
/** What is kept free ahead of the elements: the frame's header, the type and how many there are. */
const headBytes = longestHeader + 1 + longestLength;
const versionBytes = 2;
/** And behind them. */
const tailBytes = payloadTrailerBytes + 2;
const crlfBytes = 2;
const longestCursor = 20;
/** Longer elements are copied by a call, which is dearer than a copy by hand up to here. */
const shortBytes = 48;
const zero = 48;

/** One is lent at a time to each reader, since there are as many as parts under way. */
const lent: Buffer[] = [];
const mostLent = 8;

export class PlainPayloadsReader implements Reader {
  done = false;
  #bytes = lent.pop() ?? Buffer.allocUnsafeSlow(initialBytes);
  #used = headBytes;
  readonly #answers: Omit<HeldElements, 'bytes'>[] = [];
  /** What the next byte begins. */
  #next: 'answer' | 'cursor' | 'count' | 'element' = 'answer';
  #elementsLeft = 0;
  /** How much of the present element is still to come, with its CRLF. */
  #left = 0;
  #from = headBytes;
  #count = 0;
  #isPartial = false;

  /** @param settle gets the elements of each answer, which are good until `release`. */
  constructor(
    readonly shapes: readonly Shape[],
    readonly settle: (answers: readonly HeldElements[]) => void,
    readonly fail: (error: Error) => void,
  ) {}

  /** Lets the memory be used again; to be called once, when nobody looks at the answers any more. */
  release(): void {
    if (this.#bytes.length === initialBytes && lent.length < mostLent) lent.push(this.#bytes);
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && !this.done) {
      const next =
        this.#next === 'element'
          ? this.#takeElements(bytes, at, end)
          : this.#takeHead(bytes, at, end);
      if (next === at) return at;
      at = next;
    }
    return at;
  }

  #takeElements(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end) {
      if (this.#left > 0) at = this.#takePiece(bytes, at, end);
      else {
        if (bytes[at] !== DOLLAR) throw new ProtocolError('an element that is not a bulk string');
        const cr = headerEnd(bytes, at, end);
        if (cr === -1) return at;
        const length = headerLength(bytes, at, cr);
        at = cr + 2;
        if (length === -1) {
          // Of the answer to OBJECT ENCODING, for a key that is gone.
          if (--this.#elementsLeft === 0) return this.#endAnswer(at);
          continue;
        }
        this.#count++;
        if (this.#used + length + longestLength + tailBytes > this.#bytes.length) {
          this.#makeRoom(length);
        }
        this.#used = writeLength(this.#bytes, this.#used, length);
        this.#left = length + crlfBytes;
        at = this.#takePiece(bytes, at, end);
      }
      if (this.#left > 0) return at;
      if (--this.#elementsLeft === 0) return this.#endAnswer(at);
    }
    return at;
  }

  /** As much of the present element as is there. */
  #takePiece(bytes: Buffer, from: number, end: number): number {
    const held = this.#bytes;
    const stop = Math.min(end, from + this.#left);
    const contentEnd = Math.min(stop, from + this.#left - crlfBytes);
    const length = contentEnd - from;
    if (length > 0) {
      const used = this.#used;
      if (length > shortBytes) bytes.copy(held, used, from, contentEnd);
      else for (let at = 0; at < length; at++) held[used + at] = bytes[from + at] as number;
      this.#used += length;
    }
    for (let at = Math.max(from, contentEnd); at < stop; at++) {
      const isFirst = from + this.#left - at === crlfBytes;
      if (bytes[at] !== (isFirst ? CR : LF)) {
        throw new ProtocolError('a value of another length than its header said');
      }
    }
    this.#left -= stop - from;
    return stop;
  }

  #takeHead(bytes: Buffer, at: number, end: number): number {
    const type = bytes[at] as number;
    if (this.#next === 'answer') {
      if (type === MINUS) return this.#takeRefusal(bytes, at, end);
      const shape = this.shapes[this.#answers.length];
      if (shape === 'one') {
        this.#beginElements(1);
        return this.#takeElements(bytes, at, end);
      }
      const count = this.#takeCount(bytes, at, end);
      if (count === undefined) return at;
      if (shape === 'array') return this.#beginElements(count.value, count.next);
      if (count.value !== 2) {
        throw new ProtocolError('a reply to a scan that is not a cursor and its elements');
      }
      this.#next = 'cursor';
      return count.next;
    }
    if (this.#next === 'cursor') return this.#takeCursor(bytes, at, end);
    const count = this.#takeCount(bytes, at, end);
    return count === undefined ? at : this.#beginElements(count.value, count.next);
  }

  #takeCount(bytes: Buffer, at: number, end: number): { value: number; next: number } | undefined {
    if (bytes[at] !== STAR) throw new ProtocolError('a reply that is not an array');
    const cr = headerEnd(bytes, at, end);
    if (cr === -1) return undefined;
    return { value: Math.max(0, headerLength(bytes, at, cr)), next: cr + 2 };
  }

  #takeCursor(bytes: Buffer, at: number, end: number): number {
    if (bytes[at] !== DOLLAR) throw new ProtocolError('a malformed cursor');
    const cr = headerEnd(bytes, at, end);
    if (cr === -1) return at;
    const length = headerLength(bytes, at, cr);
    if (length < 1 || length > longestCursor) throw new ProtocolError('a malformed cursor');
    const next = cr + 2 + length + 2;
    if (next > end) return at;
    this.#isPartial = length !== 1 || bytes[cr + 2] !== zero;
    this.#next = 'count';
    return next;
  }

  #takeRefusal(bytes: Buffer, at: number, end: number): number {
    const text = lineText(bytes, at, end);
    if (text === undefined) return at;
    this.#isPartial = true;
    return this.#endAnswer(at + text.length + 3);
  }

  #beginElements(count: number, at = 0): number {
    if (count === 0) return this.#endAnswer(at);
    this.#elementsLeft = count;
    this.#next = 'element';
    return at;
  }

  #endAnswer(at: number): number {
    this.#answers.push({
      from: this.#from,
      end: this.#used,
      count: this.#count,
      isPartial: this.#isPartial,
    });
    this.#makeRoom(0);
    this.#used += tailBytes + headBytes;
    this.#from = this.#used;
    this.#count = 0;
    this.#isPartial = false;
    this.#next = 'answer';
    if (this.#answers.length === this.shapes.length) {
      this.done = true;
      const bytes = this.#bytes;
      this.settle(this.#answers.map(({ ...answer }) => ({ ...answer, bytes })));
    }
    return at;
  }

  /** For an element, what may follow it, and what stands ahead of the next answer's. */
  #makeRoom(elementBytes: number): void {
    const needed = this.#used + elementBytes + longestLength + tailBytes + headBytes;
    if (needed <= this.#bytes.length) return;
    if (needed > largestReplyBytes) {
      throw new ProtocolError('more bytes of elements at one time than can be held');
    }
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, needed));
    this.#bytes.copy(larger, 0, 0, this.#used);
    this.#bytes = larger;
  }
}

/** A payload as a bulk string frame: `bytes[from .. end)`. */
export interface PlainPayload {
  readonly from: number;
  readonly end: number;
  readonly payloadBytes: number;
}

const sum = new Crc64();

/**
 * Puts around the elements what makes a payload of them, where they are.
 * @param elements how many they are: a member and its score, a field and its value count as one.
 * @param version what the payload says of itself: one that the node takes.
 */
export function asPayload(
  { bytes, from, end }: HeldElements,
  type: keyof typeof plainTypes,
  elements: number,
  version: number,
): PlainPayload {
  const start = from - lengthBytes(elements) - 1;
  bytes[start] = plainTypes[type];
  writeLength(bytes, start + 1, elements);
  bytes.writeUInt16LE(version, end);
  sum.reset();
  sum.update(bytes, start, end + versionBytes);
  sum.write(bytes, end + versionBytes);
  const payloadEnd = end + payloadTrailerBytes;
  bytes[payloadEnd] = CR;
  bytes[payloadEnd + 1] = LF;
  const payloadBytes = payloadEnd - start;
  return {
    from: writeHeaderBefore(bytes, start, payloadBytes),
    end: payloadEnd + crlfBytes,
    payloadBytes,
  };
}

function lengthBytes(length: number): number {
  return length < 0x40 ? 1 : length < 0x4000 ? 2 : longestLength;
}

/** As files and payloads hold lengths: of 6, 14 or 32 bits. @returns where it ends. */
function writeLength(to: Buffer, at: number, length: number): number {
  if (length < 0x40) {
    to[at] = length;
    return at + 1;
  }
  if (length < 0x4000) {
    to[at] = 0x40 | (length >> 8);
    to[at + 1] = length & 255;
    return at + 2;
  }
  to[at] = 0x80;
  to.writeUInt32BE(length, at + 1);
  return at + longestLength;
}

/** @returns where it begins. */
function writeHeaderBefore(to: Buffer, start: number, length: number): number {
  let at = start;
  to[--at] = LF;
  to[--at] = CR;
  for (let left = length; left > 0; left = Math.floor(left / 10)) to[--at] = zero + (left % 10);
  to[--at] = DOLLAR;
  return at;
}
