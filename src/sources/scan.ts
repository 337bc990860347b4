/**
 * A running server as a source of keys: SCAN, one page ahead of whoever reads.
 *
 * SCAN returns every key that is there throughout at least once, some twice, and pages may be
 * empty (https://redis.io/docs/latest/commands/scan/). The cursor is an unsigned 64-bit number, so
 * it stays text.
 */
import { SourceError } from '../errors.js';
import { BulksReader, type FrameSink } from '../redis/bulks.js';
import type { Connection, Reader } from '../redis/connection.js';
import { command, headerEnd, headerNumber, STAR } from '../redis/frames.js';
import { keysBuilder } from '../redis/keys.js';
import { lineText } from '../redis/reply.js';
import type { Keys, Source } from '../types.js';

export interface ScanOptions {
  readonly name: string;
  /** Keys at the source before the start (DBSIZE). */
  readonly estimatedKeys: number;
  /** How many buckets each SCAN looks at: its COUNT. */
  readonly pageKeys: number;
}

interface Page {
  readonly cursor: string;
  readonly keys: Keys;
}

/** @param connection is used for nothing but the scan while it lasts. */
export function scanSource(connection: Connection, options: ScanOptions): Source {
  let progress = 0;

  function request(cursor: string): Promise<Page> {
    return new Promise((resolve, reject) => {
      connection.out.append(command('SCAN', cursor, 'COUNT', options.pageKeys));
      connection.expect(new PageReader(options.pageKeys, resolve, reject));
    });
  }

  async function* pages(): AsyncIterable<Keys> {
    progress = 0;
    let next = request('0');
    for (;;) {
      const page = await next;
      if (page.cursor === '0') {
        progress = 1;
        yield page.keys;
        return;
      }
      next = request(page.cursor);
      // Who stops reading early must not leave a rejection behind.
      next.catch(() => undefined);
      progress = scanPosition(page.cursor);
      yield page.keys;
    }
  }

  return {
    name: options.name,
    pages,
    estimatedKeys: options.estimatedKeys,
    get progress() {
      return progress;
    },
  };
}

/**
 * How far a cursor is through the table, 0 to 1. SCAN counts with the bits reversed (dictScan in
 * Redis' dict.c), so that the low bits of the cursor are the high ones of the position, whatever
 * the size of the table.
 */
export function scanPosition(cursor: string): number {
  let rest = Number(BigInt.asUintN(32, BigInt(cursor)));
  let position = 0;
  for (let weight = 0.5; rest !== 0; weight /= 2, rest >>>= 1) if (rest & 1) position += weight;
  return position;
}

/** Reads `*2`, the cursor, and the page's keys. */
class PageReader implements Reader {
  done = false;
  /** Set once the cursor is read. */
  #keys: BulksReader | undefined;

  constructor(
    readonly expectedKeys: number,
    readonly resolve: (page: Page) => void,
    readonly reject: (error: Error) => void,
  ) {}

  fail(error: Error): void {
    this.reject(error);
  }

  take(bytes: Buffer, from: number, end: number): number {
    const at = this.#keys ? from : this.#takeHead(bytes, from, end);
    if (!this.#keys) return at;
    const next = this.#keys.take(bytes, at, end);
    this.done = this.#keys.done;
    return next;
  }

  #takeHead(bytes: Buffer, from: number, end: number): number {
    if (bytes[from] !== STAR) {
      const text = lineText(bytes, from, end);
      if (text === undefined) return from;
      this.done = true;
      this.reject(new SourceError(`the source refused SCAN: ${text}`));
      return from + text.length + 3;
    }
    const arrayEnd = headerEnd(bytes, from, end);
    if (arrayEnd === -1 || arrayEnd + 2 >= end) return from;
    const lengthEnd = headerEnd(bytes, arrayEnd + 2, end);
    if (lengthEnd === -1) return from;
    const cursorEnd = lengthEnd + 2 + headerNumber(bytes, arrayEnd + 2, lengthEnd);
    if (cursorEnd + 2 > end) return from;
    const cursor = bytes.toString('latin1', lengthEnd + 2, cursorEnd);
    this.#keys = new BulksReader(this.#sink(cursor));
    return cursorEnd + 2;
  }

  #sink(cursor: string): FrameSink {
    const builder = keysBuilder(this.expectedKeys);
    return {
      open: () => undefined,
      bytes: builder.piece,
      shut: builder.seal,
      nil: () => undefined,
      refused: (text) => {
        this.reject(new SourceError(`the source refused SCAN: ${text}`));
      },
      end: () => {
        this.resolve({ cursor, keys: builder.take() });
      },
      fail: this.reject,
    };
  }
}
