/** Reads what SSCAN, HSCAN and ZSCAN answer: `*2`, a cursor, and an array of elements. */
import { ProtocolError } from '../../errors.js';
import { BulksReader, type FrameSink } from '../../redis/bulks.js';
import { headerEnd, headerLength, MINUS, STAR } from '../../redis/frames.js';
import { keyAt } from '../../redis/keys.js';
import { lineText, type Reader } from '../../redis/reply.js';
import type { Keys } from '../../types.js';

export interface ElementPage {
  /** `0` ends the scan. */
  readonly cursor: string;
  readonly items: Keys;
}

export class PageReader implements Reader {
  done = false;
  readonly #head: FrameSink;
  readonly #cursorReader: BulksReader;
  readonly #itemsReader: BulksReader;
  #begun = false;

  /** @param sinkOf makes what gathers the frames of an array, and is told of failures. */
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
