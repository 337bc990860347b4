/**
 * Reads the answers to many small questions about elements into one piece of memory: pages of scans, ranges of
 * lists. What is asked for key by key costs more in buffers and promises than in bytes.
 */
import { ProtocolError } from '../../errors.js';
import { largestReplyBytes } from '../../redis/ask.js';
import { CR, DOLLAR, headerEnd, headerLength, LF, MINUS, STAR } from '../../redis/frames.js';
import { lineText, type Reader } from '../../redis/reply.js';

/** What an answer looks like: `*2`, a cursor and an array; an array; or one bulk string. */
export type Shape = 'page' | 'array' | 'one';

/** The elements of one answer, as the frames that came: `bytes[from .. end)`. */
export interface HeldPage {
  readonly bytes: Buffer;
  readonly from: number;
  readonly end: number;
  readonly count: number;
  /** A page whose cursor says that more would come, or a refusal. */
  readonly isPartial: boolean;
}

const initialBytes = 32 * 1024;
const longestCursor = 20;
const zero = 48;

export class HeldPagesReader implements Reader {
  done = false;
  #bytes = Buffer.allocUnsafeSlow(initialBytes);
  #used = 0;
  readonly #pages: { from: number; end: number; count: number; isPartial: boolean }[] = [];
  /** What the next byte begins. */
  #next: 'answer' | 'cursor' | 'count' | 'element' = 'answer';
  #elementsLeft = 0;
  /** How much of the present element is still to come. */
  #left = 0;
  #from = 0;
  #count = 0;
  #isPartial = false;

  constructor(
    readonly shapes: readonly Shape[],
    readonly settle: (pages: readonly HeldPage[]) => void,
    readonly fail: (error: Error) => void,
  ) {}

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

  /** As many elements as are there, copied at one time. */
  #takeElements(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end) {
      if (this.#left === 0) {
        if (bytes[at] !== DOLLAR) throw new ProtocolError('an element that is not a bulk string');
        const cr = headerEnd(bytes, at, end);
        if (cr === -1) break;
        const length = headerLength(bytes, at, cr);
        if (length === -1) {
          // Of the answer to OBJECT ENCODING, for a key that is gone.
          this.#keep(bytes, from, at);
          return this.#endElement(cr + 2);
        }
        this.#left = cr - at + length + 4;
        this.#count++;
      }
      const stop = Math.min(end, at + this.#left);
      this.#left -= stop - at;
      at = stop;
      if (this.#left > 0) break;
      const isEnded = stop - from < 2 || (bytes[stop - 2] === CR && bytes[stop - 1] === LF);
      if (!isEnded) throw new ProtocolError('a value of another length than its header said');
      if (--this.#elementsLeft === 0) {
        this.#keep(bytes, from, at);
        return this.#endAnswer(at);
      }
    }
    this.#keep(bytes, from, at);
    return at;
  }

  #endElement(at: number): number {
    return --this.#elementsLeft === 0 ? this.#endAnswer(at) : at;
  }

  #takeHead(bytes: Buffer, at: number, end: number): number {
    const type = bytes[at] as number;
    if (this.#next === 'answer') {
      if (type === MINUS) return this.#takeRefusal(bytes, at, end);
      const shape = this.shapes[this.#pages.length];
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
    this.#pages.push({
      from: this.#from,
      end: this.#used,
      count: this.#count,
      isPartial: this.#isPartial,
    });
    this.#from = this.#used;
    this.#count = 0;
    this.#isPartial = false;
    this.#next = 'answer';
    if (this.#pages.length === this.shapes.length) {
      this.done = true;
      const bytes = this.#bytes;
      this.settle(this.#pages.map((page) => ({ ...page, bytes })));
    }
    return at;
  }

  #keep(bytes: Buffer, from: number, end: number): void {
    const length = end - from;
    if (this.#used + length > this.#bytes.length) {
      if (this.#used + length > largestReplyBytes) {
        throw new ProtocolError('more bytes of elements at one time than can be held');
      }
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#used + length));
      this.#bytes.copy(larger, 0, 0, this.#used);
      this.#bytes = larger;
    }
    bytes.copy(this.#bytes, this.#used, from, end);
    this.#used += length;
  }
}
