/**
 * Reads one page of a scan: `*2`, the cursor, and the page's keys, which are gathered as frames.
 */
import { ProtocolError, RefusedError, SourceError } from '../errors.js';
import { BulksReader, type FrameSink } from '../redis/bulks.js';
import type { Reader } from '../redis/reader.js';
import { CR, DOLLAR, headerEnd, headerLength, LF, MINUS, STAR } from '../redis/frames.js';
import { type KeysBuilder, keysBuilder } from '../redis/keys.js';
import { lineText } from '../redis/reply.js';
import { refusalIn } from '../redis/source-health.js';
import type { Keys } from '../types.js';

export interface Page {
  /** An unsigned 64-bit number; `0` ends the scan. */
  readonly cursor: string;
  readonly keys: Keys;
}

interface Run {
  readonly bytes: Buffer;
  readonly start: number;
  end: number;
  count: number;
}

const nothing = Buffer.alloc(0);
/** Lengths of keys that lie one behind the other. They are gathered before another reader takes. */
const lengths = new Uint32Array(1024);

/** What a page's keys may add up to, so that no server can fill the memory with them. */
const limitBytes = 64 * 1024 * 1024;

/** 2^64 - 1 has so many digits. */
const cursorDigits = 20;
const cursorPattern = /^\d+$/;

export class PageReader implements Reader {
  done = false;
  /** Set once the cursor is read. */
  #keys: BulksReader | undefined;
  /** Keys that lie one behind the other in the present chunk, to be gathered by one copy. */
  #run: Run = { bytes: nothing, start: 0, end: 0, count: 0 };
  readonly #builder: KeysBuilder;

  /**
   * @param name of the source, for errors.
   * @param expectedKeys how many keys a page usually holds.
   * @param expectedBytes how many bytes they come to, as far as that is known.
   */
  constructor(
    readonly name: string,
    expectedKeys: number,
    readonly resolve: (page: Page) => void,
    readonly reject: (error: Error) => void,
    expectedBytes?: number,
  ) {
    this.#builder = keysBuilder(expectedKeys, expectedBytes);
  }

  fail(error: Error): void {
    this.reject(error);
  }

  take(bytes: Buffer, from: number, end: number): number {
    const at = this.#keys ? from : this.#takeHead(bytes, from, end);
    if (!this.#keys) return at;
    const next = this.#keys.take(bytes, at, end);
    this.#gather();
    this.done = this.#keys.done;
    return next;
  }

  #takeHead(bytes: Buffer, from: number, end: number): number {
    if (from === end) return from;
    if (bytes[from] === MINUS) {
      const text = lineText(bytes, from, end);
      if (text === undefined) return from;
      this.done = true;
      this.#refused(text);
      return from + text.length + 3;
    }
    if (bytes[from] !== STAR) throw new ProtocolError('an answer to SCAN that is none');
    const arrayEnd = headerEnd(bytes, from, end);
    if (arrayEnd === -1 || arrayEnd + 2 >= end) return from;
    const length = arrayEnd + 2;
    if (headerLength(bytes, from, arrayEnd) !== 2 || bytes[length] !== DOLLAR) {
      throw new ProtocolError('an answer to SCAN that is not a cursor and its keys');
    }
    const lengthEnd = headerEnd(bytes, length, end);
    if (lengthEnd === -1) return from;
    const cursorFrom = lengthEnd + 2;
    const cursorEnd = cursorFrom + headerLength(bytes, length, lengthEnd);
    if (cursorEnd > cursorFrom + cursorDigits) throw new ProtocolError('a cursor that is none');
    if (cursorEnd + 2 > end) return from;
    const cursor = bytes.toString('latin1', cursorFrom, cursorEnd);
    if (!cursorPattern.test(cursor) || bytes[cursorEnd] !== CR || bytes[cursorEnd + 1] !== LF) {
      throw new ProtocolError('a cursor that is none');
    }
    this.#keys = new BulksReader(this.#sink(cursor));
    return cursorEnd + 2;
  }

  #refused(text: string): void {
    const words = `${this.name} refused SCAN: ${text}`;
    const refusal = refusalIn(text);
    this.reject(refusal === undefined ? new SourceError(words) : new RefusedError(words, refusal));
  }

  #gather(): void {
    const { bytes, start, end, count } = this.#run;
    if (count === 0) return;
    this.#run = { bytes: nothing, start: 0, end: 0, count: 0 };
    this.#builder.addRun(bytes, start, end, lengths, count);
  }

  #sink(cursor: string): FrameSink {
    const builder = this.#builder;
    const check = (keyBytes: number): void => {
      if (builder.byteLength + keyBytes > limitBytes) {
        throw new ProtocolError('more bytes of keys at one time than can be held');
      }
    };
    return {
      open: check,
      whole: (bytes, start, end, keyBytes) => {
        check(keyBytes);
        let run = this.#run;
        if (start !== run.end || bytes !== run.bytes || run.count === lengths.length) {
          this.#gather();
          run = this.#run = { bytes, start, end: start, count: 0 };
        }
        lengths[run.count++] = end - start;
        run.end = end;
      },
      bytes: (bytes, start, end) => {
        this.#gather();
        builder.piece(bytes, start, end);
      },
      shut: builder.seal,
      nil() {
        throw new ProtocolError('no key where one was due');
      },
      refused: (text) => {
        this.#refused(text);
      },
      end: () => {
        this.#gather();
        this.resolve({ cursor, keys: builder.take() });
      },
      fail: this.reject,
    };
  }
}
