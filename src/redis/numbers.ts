/** Reads as many numbers as were asked for, in one go: nothing is made for each of them. */
import { ProtocolError } from '../errors.js';
import { COLON, DOLLAR, headerEnd, headerNumber, MINUS } from './frames.js';
import type { Connection } from './connection.js';
import { lineText, type Reader } from './reply.js';
import type { Keys } from '../types.js';

/**
 * The same question about each key, pipelined.
 * @param head as `keyCommandHead` makes it.
 * @returns a number for each: 0 where there was nothing, NaN where the server refused.
 */
export function askNumbers(
  connection: Connection,
  head: Buffer,
  keys: Keys,
): Promise<Float64Array> {
  connection.out.askEach(head, keys);
  return new Promise((resolve, reject) => {
    connection.expect(new NumbersReader(keys.count, resolve, reject));
  });
}

export class NumbersReader implements Reader {
  done = false;
  readonly #numbers: Float64Array;
  #place = 0;

  /** @param resolve is given 0 where there was nothing, and NaN where the server refused. */
  constructor(
    count: number,
    readonly resolve: (numbers: Float64Array) => void,
    readonly reject: (error: Error) => void,
  ) {
    this.#numbers = new Float64Array(count);
  }

  fail(error: Error): void {
    this.done = true;
    this.reject(error);
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && !this.done) {
      const type = bytes[at];
      if (type === MINUS) {
        const text = lineText(bytes, at, end);
        if (text === undefined) return at;
        this.#put(NaN);
        at += text.length + 3;
        continue;
      }
      const stop = headerEnd(bytes, at, end);
      if (stop === -1) return at;
      const number = headerNumber(bytes, at, stop);
      if (type !== COLON && (type !== DOLLAR || number !== -1)) {
        throw new ProtocolError('a reply that is not a number');
      }
      this.#put(type === COLON ? number : 0);
      at = stop + 2;
    }
    return at;
  }

  #put(number: number): void {
    this.#numbers[this.#place++] = number;
    if (this.#place < this.#numbers.length) return;
    this.done = true;
    this.resolve(this.#numbers);
  }
}
