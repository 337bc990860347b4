/**
 * What reads replies from a connection. `ReplyReader` reads one whole reply into JavaScript values:
 * for the few commands of the data plane whose replies are looked at (INFO, EVAL, EXEC, PTTL …).
 * What merely passes through has readers of its own, which never hold it.
 *
 * Of RESP3 it reads what servers say to those who listen for changes: pushes and maps, as lists, and nulls
 * (https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md).
 */
import { ProtocolError } from '../errors.js';
import {
  COLON,
  CR,
  DOLLAR,
  headerEnd,
  headerLength,
  headerNumber,
  LF,
  MAP,
  MINUS,
  NULL,
  PLUS,
  PUSH,
  STAR,
} from './frames.js';

/** An error reply; a value, because in a pipeline it belongs to one command only. */
export class ErrorReply {
  /** The first word: ERR, MOVED, OOM, … */
  readonly code: string;
  constructor(readonly text: string) {
    this.code = text.split(' ', 1)[0] ?? '';
  }
}

export type Reply = string | number | Buffer | null | ErrorReply | Reply[];

/** What a status, an integer or a bulk string says; nothing for other replies. */
export function textOf(reply: Reply | undefined): string {
  if (typeof reply === 'string' || typeof reply === 'number') return String(reply);
  return Buffer.isBuffer(reply) ? reply.toString('latin1') : '';
}

/** Longest status or error line that is read. */
const lineLimit = 64 * 1024;
const depthLimit = 8;

/**
 * The text of the line at `from` without type byte and CRLF, or undefined while incomplete.
 * @throws ProtocolError when it is too long, or its CR stands alone.
 */
export function lineText(bytes: Buffer, from: number, end: number): string | undefined {
  const cr = bytes.indexOf(CR, from);
  const stop = cr === -1 || cr > end ? end : cr;
  if (stop - from > lineLimit) throw new ProtocolError('a reply line without an end');
  if (stop + 1 >= end) return undefined;
  if (bytes[cr + 1] !== LF) throw new ProtocolError('a reply line with a CR within');
  return bytes.toString('latin1', from + 1, cr);
}

interface OpenArray {
  readonly items: Reply[];
  readonly length: number;
}

/**
 * @param limitBytes what the reply's values may add up to; beyond it the connection is closed,
 *   so that a server's lie about a length costs no memory.
 * @param isResp3 the server was told to speak it.
 */
export class ReplyReader implements Reader {
  done = false;
  #open: OpenArray[] = [];
  #bulk: Buffer | undefined;
  #filled = 0;
  #left: number;

  constructor(
    readonly settle: (reply: Reply) => void,
    readonly fail: (error: Error) => void,
    limitBytes = 1024 * 1024,
    readonly isResp3 = false,
  ) {
    this.#left = limitBytes;
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (!this.done && at < end) {
      const next = this.#bulk ? this.#takeBulk(bytes, at, end) : this.#takeLine(bytes, at, end);
      if (next === at) return at;
      at = next;
    }
    return at;
  }

  #takeBulk(bytes: Buffer, from: number, end: number): number {
    const bulk = this.#bulk as Buffer;
    const part = Math.min(bulk.length - this.#filled, end - from);
    bytes.copy(bulk, this.#filled, from, from + part);
    this.#filled += part;
    if (this.#filled < bulk.length) return from + part;
    if (end - from - part < 2) return from + part;
    if (bytes[from + part] !== CR || bytes[from + part + 1] !== LF) {
      throw new ProtocolError('a value of another length than its header said');
    }
    this.#bulk = undefined;
    this.#put(bulk);
    return from + part + 2;
  }

  #takeLine(bytes: Buffer, from: number, end: number): number {
    const type = bytes[from];
    if (type === PLUS || type === MINUS) {
      const text = lineText(bytes, from, end);
      if (text === undefined) return from;
      this.#spend(text.length);
      this.#put(type === PLUS ? text : new ErrorReply(text));
      return from + text.length + 3;
    }
    const isKnown = type === COLON || type === DOLLAR || type === STAR;
    const isOfResp3 = type === PUSH || type === MAP || type === NULL;
    if (!isKnown && !(this.isResp3 && isOfResp3)) {
      throw new ProtocolError(`a reply that starts with byte ${String(type)}`);
    }
    const cr = headerEnd(bytes, from, end);
    if (cr === -1) return from;
    if (type === COLON) {
      this.#put(headerNumber(bytes, from, cr));
      return cr + 2;
    }
    if (type === NULL) {
      this.#put(null);
      return cr + 2;
    }
    const count = headerLength(bytes, from, cr);
    const length = type === MAP ? 2 * count : count;
    if (length < 0) this.#put(null);
    else if (type === DOLLAR) {
      this.#spend(length);
      this.#bulk = Buffer.allocUnsafe(length);
      this.#filled = 0;
    } else this.#openArray(length);
    return cr + 2;
  }

  #openArray(length: number): void {
    if (length === 0) {
      this.#put([]);
      return;
    }
    this.#spend(length * 8);
    if (this.#open.length >= depthLimit) throw new ProtocolError('a reply nested too deep');
    this.#open.push({ items: [], length });
  }

  #put(value: Reply): void {
    let whole = value;
    for (let array = this.#open.at(-1); array; array = this.#open.at(-1)) {
      array.items.push(whole);
      if (array.items.length < array.length) return;
      whole = array.items;
      this.#open.pop();
    }
    this.done = true;
    this.settle(whole);
  }

  #spend(byteCount: number): void {
    this.#left -= byteCount;
    if (this.#left < 0) throw new ProtocolError('a reply larger than it may be');
  }
}

/** Reads the reply or replies of what was sent at one time. */
export interface Reader {
  /**
   * Takes what it can of `bytes[from .. end)`.
   * @returns where it stopped; the rest is offered again when there is more behind it.
   * @throws ProtocolError when the bytes can't be a reply; that ends the connection.
   */
  take(bytes: Buffer, from: number, end: number): number;
  /** Nothing more belongs to it; what follows is the next reader's. */
  readonly done: boolean;
  /** Nothing was asked yet whose answer it could wait for. */
  readonly idle?: boolean;
  /** The connection is gone before it was done. */
  fail(error: Error): void;
}

/*
 * Reads a known number of bulk strings, or an array of them, and hands their frames on piece by
 * piece as they arrive: a frame of 400 MB costs no more memory than one of 4 bytes.
 */

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
