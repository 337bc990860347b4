/**
 * A running server as a source of keys: SCAN, one page ahead of its reader.
 *
 * SCAN returns every key that is there throughout at least once, some twice, and pages may be
 * empty (https://redis.io/docs/latest/commands/scan/). The cursor is an unsigned 64-bit number, so
 * it stays text.
 */
import { ProtocolError, RefusedError, SourceError } from '../errors.js';
import { BulksReader, ErrorReply, type FrameSink, lineText, type Reader } from '../redis/reply.js';
import type { Connection } from '../redis/connection.js';
import {
  command,
  CR,
  DOLLAR,
  headerEnd,
  headerLength,
  type KeysBuilder,
  keysBuilder,
  LF,
  MINUS,
  STAR,
} from '../redis/frames.js';
import type { Link, Linked } from '../redis/pool.js';
import { refusalIn, type SourceHealth } from '../redis/source-health.js';
import type { Keys, ScanPosition, Source } from '../types.js';

/** How often one page is asked for, each time over a new connection. */
const triesPerPage = 10;

export interface ScanOptions {
  readonly name: string;
  /** Keys at the source before the start (DBSIZE). */
  readonly estimatedKeys: number;
  /** How many buckets each SCAN looks at: its COUNT. */
  pageKeys(): number;
  /** Whether what is moved leaves the source: then it is counted what is left there. */
  readonly isEmptied?: boolean;
  /** Where an earlier scan of this server had come to: the first one goes on from there. */
  readonly startAt?: ScanPosition | undefined;
}

export interface ScanSource extends Source {
  /** What has been handed out so far ends here; undefined where the server has no run_id. */
  readonly position: ScanPosition | undefined;
}

/** A page, and which server's it is. */
type Scanned = Page & { readonly server: string };

/**
 * @param health is waited for where the source refuses SCAN for now.
 * @param link gives a connection for the scan alone. When that is lost the scan goes on where it
 *   was, or from the start if the server has been restarted: its table has another order then.
 */
export function scanSource(link: Link, health: SourceHealth, options: ScanOptions): ScanSource {
  let progress = 0;
  let earlierShare = scanPosition(options.startAt?.cursor ?? '0');
  let position: ScanPosition | undefined;
  let { startAt } = options;
  let linked: Promise<Linked> | undefined;
  let pageBytes: number | undefined;

  async function page(cursor: string, tries = 1): Promise<Scanned> {
    const before = await (linked ??= link.open());
    try {
      const read = await request(before.connection, cursor);
      health.accepted();
      return { ...read, server: before.identity };
    } catch (error) {
      if (error instanceof RefusedError) {
        health.refused(error.reply);
        await health.ready();
        return page(cursor, tries);
      }
      // A server that opens and then fails at each SCAN, or answers nonsense, will not mend.
      if (!before.connection.lost || error instanceof ProtocolError || tries === triesPerPage) {
        throw error;
      }
      linked = link.open();
      const same = (await linked).identity === before.identity;
      return page(same ? cursor : '0', tries + 1);
    }
  }

  function request(connection: Connection, cursor: string): Promise<Page> {
    return new Promise((resolve, reject) => {
      const pageKeys = options.pageKeys();
      connection.out.append(command('SCAN', cursor, 'COUNT', pageKeys));
      connection.expect(new PageReader(options.name, pageKeys, resolve, reject, pageBytes));
    });
  }

  /** Later passes begin at the start. */
  async function firstCursor(): Promise<string> {
    const earlier = startAt;
    startAt = undefined;
    const identity = earlier && (await (linked ??= link.open())).identity;
    if (earlier && identity === earlier.server) return earlier.cursor;
    earlierShare = 0;
    return '0';
  }

  async function* pages(): AsyncIterable<Keys> {
    const first = await firstCursor();
    progress = earlierShare;
    let next = page(first);
    for (;;) {
      const { cursor, keys, server } = await next;
      position = server === '' ? undefined : { cursor, server };
      pageBytes = Math.ceil(keys.bytes.length * 1.1);
      if (cursor === '0') {
        progress = 1;
        yield keys;
        return;
      }
      next = page(cursor);
      // If the consumer stops early, avoid an unhandled rejection.
      next.catch(() => undefined);
      progress = scanPosition(cursor);
      yield keys;
    }
  }

  /** What the server does not tell must not be taken for none. */
  async function remaining(): Promise<number> {
    for (;;) {
      const { connection } = await link.open();
      // It is closed with all the others, in the end.
      const reply = await connection.call('DBSIZE');
      if (!(reply instanceof ErrorReply)) return Number(reply);
      const refusal = refusalIn(reply.text);
      if (refusal === undefined) throw new SourceError(`the source refused DBSIZE: ${reply.text}`);
      health.refused(refusal);
      await health.ready();
    }
  }

  return {
    name: options.name,
    isReplayable: true,
    remaining: options.isEmptied === true ? remaining : undefined,
    pages,
    estimatedKeys: options.estimatedKeys,
    // From where an earlier scan had come to, only the rest.
    get expectedKeys() {
      return options.estimatedKeys * (1 - earlierShare);
    },
    get progress() {
      return progress;
    },
    get earlierShare() {
      return earlierShare;
    },
    get position() {
      return position;
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

/** Reads one page of a scan: `*2`, the cursor, and the page's keys, which are gathered as frames. */
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
    if (bytes[from] !== STAR) throw new ProtocolError('a malformed reply to SCAN');
    const arrayEnd = headerEnd(bytes, from, end);
    if (arrayEnd === -1 || arrayEnd + 2 >= end) return from;
    const length = arrayEnd + 2;
    if (headerLength(bytes, from, arrayEnd) !== 2 || bytes[length] !== DOLLAR) {
      throw new ProtocolError('a reply to SCAN that is not a cursor and its keys');
    }
    const lengthEnd = headerEnd(bytes, length, end);
    if (lengthEnd === -1) return from;
    const cursorFrom = lengthEnd + 2;
    const cursorEnd = cursorFrom + headerLength(bytes, length, lengthEnd);
    if (cursorEnd > cursorFrom + cursorDigits) throw new ProtocolError('a malformed cursor');
    if (cursorEnd + 2 > end) return from;
    const cursor = bytes.toString('latin1', cursorFrom, cursorEnd);
    if (!cursorPattern.test(cursor) || bytes[cursorEnd] !== CR || bytes[cursorEnd + 1] !== LF) {
      throw new ProtocolError('a malformed cursor');
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
        throw new ProtocolError('nil in the place of a key');
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
