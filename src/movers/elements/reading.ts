/**
 * Asks the source for elements. These stay frames, as they came: what LRANGE, SSCAN and HSCAN answer
 * is what RPUSH, SADD and HMSET take.
 *
 * All questions throw RefusedError when the source answers with an error, ConnectionError when it is
 * lost.
 */
import { ProtocolError, RefusedError } from '../../errors.js';
import { largestReplyBytes, nextReply, type Word } from '../../redis/ask.js';
import {
  BulksReader,
  ErrorReply,
  type FrameSink,
  lineText,
  type Reader,
  type Reply,
} from '../../redis/reply.js';
import type { Connection } from '../../redis/connection.js';
import {
  command,
  commandHead,
  headerEnd,
  headerLength,
  keyAt,
  keysBuilder,
  MINUS,
  STAR,
} from '../../redis/frames.js';
import type { Keys } from '../../types.js';

/** An answer that is looked into; frames may stand behind the question's words. */
export async function askReply(
  source: Connection,
  words: readonly Word[],
  frames?: Keys,
): Promise<Reply> {
  source.out.append(frames ? commandHead(frames.count, ...words) : command(...words));
  if (frames) source.out.append(frames.bytes);
  const reply = await nextReply(source, largestReplyBytes);
  if (reply instanceof ErrorReply) throw refusal(source, reply.text);
  return reply;
}

/** An array of bulk strings; `one`: a single bulk string. */
export function askFrames(
  source: Connection,
  shape: 'array' | 'one',
  ...words: Word[]
): Promise<Keys> {
  return new Promise((resolve, reject) => {
    source.out.append(command(...words));
    const sink = gather(source, resolve, reject);
    source.expect(shape === 'one' ? new BulksReader(sink, 1) : new BulksReader(sink));
  });
}

/** What SSCAN, HSCAN and ZSCAN answer. */
export function askPage(source: Connection, ...words: Word[]): Promise<ElementPage> {
  return new Promise((resolve, reject) => {
    source.out.append(command(...words));
    const sinkOf = (settle: (items: Keys) => void): FrameSink => gather(source, settle, reject);
    source.expect(new PageReader(sinkOf, resolve));
  });
}

function gather(
  source: Connection,
  resolve: (frames: Keys) => void,
  reject: (error: Error) => void,
): FrameSink {
  const builder = keysBuilder(64);
  return {
    open(valueBytes) {
      if (builder.byteLength + valueBytes > largestReplyBytes) {
        throw new ProtocolError('more bytes of elements at one time than can be held');
      }
    },
    bytes: builder.piece,
    shut: builder.seal,
    nil: () => undefined,
    refused(text) {
      reject(refusal(source, text));
    },
    end() {
      resolve(builder.take());
    },
    fail: reject,
  };
}

function refusal(source: Connection, text: string): RefusedError {
  return new RefusedError(`${source.address} answered: ${text}`, text);
}

export interface ElementPage {
  /** `0` ends the scan. */
  readonly cursor: string;
  readonly items: Keys;
}

/** Reads what SSCAN, HSCAN and ZSCAN answer: `*2`, a cursor, and an array of elements. */
class PageReader implements Reader {
  done = false;
  readonly #head: FrameSink;
  readonly #cursorReader: BulksReader;
  readonly #itemsReader: BulksReader;
  #begun = false;

  /** @param sinkOf makes what gathers the frames of an array; it is told of failures too. */
  constructor(
    sinkOf: (settle: (frames: Keys) => void) => FrameSink,
    resolve: (page: ElementPage) => void,
  ) {
    let cursor = '';
    this.#head = sinkOf((frames) => {
      if (frames.count === 1) cursor = keyAt(frames, 0).toString('latin1');
      if (!/^\d{1,20}$/.test(cursor)) throw new ProtocolError('a malformed cursor');
    });
    this.#cursorReader = new BulksReader(this.#head, 1);
    this.#itemsReader = new BulksReader(
      sinkOf((items) => {
        resolve({ cursor, items });
      }),
    );
  }

  fail(error: Error): void {
    this.#head.fail(error);
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = this.#begun ? from : this.#takeHead(bytes, from, end);
    if (!this.#begun) return at;
    if (!this.#cursorReader.done && at < end) at = this.#cursorReader.take(bytes, at, end);
    if (this.#cursorReader.done && at < end) at = this.#itemsReader.take(bytes, at, end);
    this.done = this.#itemsReader.done;
    return at;
  }

  #takeHead(bytes: Buffer, from: number, end: number): number {
    if (from === end) return from;
    if (bytes[from] === MINUS) {
      const text = lineText(bytes, from, end);
      if (text === undefined) return from;
      this.done = true;
      this.#head.refused(text);
      return from + text.length + 3;
    }
    if (bytes[from] !== STAR) throw new ProtocolError('a malformed reply to a scan');
    const stop = headerEnd(bytes, from, end);
    if (stop === -1) return from;
    if (headerLength(bytes, from, stop) !== 2) {
      throw new ProtocolError('a reply to a scan that is not a cursor and its elements');
    }
    this.#begun = true;
    return stop + 2;
  }
}

/**
 * How many elements to ask for at one time: as many as keep both servers busy only for a moment.
 * What they weigh is not known before; the first ones tell.
 */
export const sliceElements = 1000;
export const sliceBytes = 256 * 1024;
/** Few, because one element may be anything up to 512 MB. */
const firstElements = 16;
/** However light the last ones were, the next may be heavier. */
const growth = 8;

export class SliceSize {
  /** How many elements the next slice should have. */
  count = firstElements;

  /** A slice is in: so many elements of so many bytes. */
  note(elements: number, bytes: number): void {
    if (elements === 0) return;
    const fitting = Math.floor((sliceBytes * elements) / Math.max(bytes, 1));
    this.count = Math.max(1, Math.min(sliceElements, fitting, this.count * growth));
  }
}

/**
 * A whole scan. It may give elements twice, which does no harm; and what is written meanwhile it
 * may give or not, which is why the key must not have been touched when it leaves the source.
 */
export async function* pages(
  { source, key, slice }: { source: Connection; key: Buffer; slice: SliceSize },
  word: 'SSCAN' | 'HSCAN' | 'ZSCAN',
): AsyncGenerator<ElementPage> {
  for (let cursor = '0', last = false; !last;) {
    const page = await askPage(source, word, key, cursor, 'COUNT', slice.count);
    cursor = page.cursor;
    last = cursor === '0';
    yield page;
  }
}
