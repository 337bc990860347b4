/**
 * Reads a known number of bulk strings, or an array of them, and hands their frames on piece by
 * piece as they arrive: a frame of 400 MB costs no more memory than one of 4 bytes.
 */
import { ProtocolError } from '../errors.js';
import { lineText, type Reader } from './reply.js';
import { CR, DOLLAR, headerEnd, headerLength, LF, MINUS, STAR } from './frames.js';

/** What is longer comes by open, bytes and shut. */
const wholeBytes = 8 * 1024;

/** Where frames go. For each reply: open, bytes (once or more), shut; or nil; or refused. */
export interface FrameSink {
  /** A frame begins, with a value of so many bytes. */
  open(valueBytes: number): void;
  /** The next piece of the frame, header and CRLF included; valid during the call only. */
  bytes(bytes: Buffer, start: number, end: number): void;
  shut(): void;
  /**
   * A short frame that lies there from its first byte to its last: in the place of open, bytes and shut,
   * where one call is cheaper than three. Undefined: those are called.
   */
  whole?(bytes: Buffer, start: number, end: number, valueBytes: number): void;
  nil(): void;
  /** An error reply in the place of a bulk string. */
  refused(text: string): void;
  /** All replies are in. */
  end(): void;
  fail(error: Error): void;
}

export class BulksReader implements Reader {
  done = false;
  #left: number;
  #remaining = 0;

  /**
   * @param count how many bulk strings are due; undefined where only the server knows.
   * @param shape whether they come as one array reply, or one by one.
   */
  constructor(
    readonly sink: FrameSink,
    readonly count?: number,
    shape: 'array' | 'separate' = count === undefined ? 'array' : 'separate',
  ) {
    this.#left = shape === 'array' ? -1 : (count ?? 0);
  }

  fail(error: Error): void {
    this.sink.fail(error);
  }

  take(bytes: Buffer, from: number, end: number): number {
    const sink = this.sink;
    let at = from;
    if (this.#left === -1 && from < end) {
      at = this.#takeArrayHeader(bytes, from, end);
      if (at === from || this.done) return at;
    }
    while (at < end) {
      if (this.#remaining > 0) {
        const stop = this.#remaining < end - at ? at + this.#remaining : end;
        checkLineEnd(bytes, at + this.#remaining - 2, at, stop);
        sink.bytes(bytes, at, stop);
        this.#remaining -= stop - at;
        at = stop;
        if (this.#remaining > 0) return at;
        sink.shut();
      } else {
        if (bytes[at] !== DOLLAR) {
          const next = this.#takeError(bytes, at, end);
          if (next === at) return at;
          at = next;
        } else {
          const cr = headerEnd(bytes, at, end);
          if (cr === -1) return at;
          const length = headerLength(bytes, at, cr);
          if (length >= 0) {
            const stop = cr + length + 4;
            if (stop <= end && length < wholeBytes && sink.whole !== undefined) {
              if (bytes[stop - 2] !== CR || bytes[stop - 1] !== LF) throw misstated();
              sink.whole(bytes, at, stop, length);
              at = stop;
              if (--this.#left !== 0) continue;
              this.#finish();
              return at;
            }
            this.#remaining = cr - at + length + 4;
            sink.open(length);
            continue;
          }
          sink.nil();
          at = cr + 2;
        }
      }
      if (--this.#left === 0) {
        this.#finish();
        return at;
      }
    }
    return at;
  }

  #takeArrayHeader(bytes: Buffer, from: number, end: number): number {
    if (bytes[from] === MINUS) {
      const text = lineText(bytes, from, end);
      if (text === undefined) return from;
      this.sink.refused(text);
      this.#finish();
      return from + text.length + 3;
    }
    if (bytes[from] !== STAR) throw new ProtocolError('a reply that is not an array');
    const cr = headerEnd(bytes, from, end);
    if (cr === -1) return from;
    this.#left = headerLength(bytes, from, cr);
    if (this.count !== undefined && this.#left !== this.count) {
      throw new ProtocolError('an array of another length than was asked for');
    }
    if (this.#left <= 0) this.#finish();
    return cr + 2;
  }

  /** A value that does not end where its header said would shift every answer behind it. */

  #takeError(bytes: Buffer, from: number, end: number): number {
    if (bytes[from] !== MINUS) throw new ProtocolError('a reply that is not a bulk string');
    const text = lineText(bytes, from, end);
    if (text === undefined) return from;
    this.sink.refused(text);
    return from + text.length + 3;
  }

  #finish(): void {
    this.done = true;
    this.sink.end();
  }
}

/**
 * Checks that a bulk string ends where its header said.
 * @param cr where its line end begins, maybe beyond these bytes.
 * @param from where these bytes begin, and `end`, where they end.
 * @throws ProtocolError
 */
export function checkLineEnd(bytes: Buffer, cr: number, from: number, end: number): void {
  if (cr >= end) return;
  if ((cr < from || bytes[cr] === CR) && (cr + 1 >= end || bytes[cr + 1] === LF)) return;
  throw misstated();
}

function misstated(): ProtocolError {
  return new ProtocolError('a value of another length than its header said');
}
