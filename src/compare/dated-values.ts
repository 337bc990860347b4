/**
 * Values together with their deadlines: each key is asked for both, one right behind the other, because
 * most of what a question about a small value costs a server is to find the key in its memory.
 */
import { ProtocolError } from '../errors.js';
import { NumbersReader } from '../redis/ask.js';
import { DOLLAR, headerEnd, headerLength, MINUS } from '../redis/frames.js';
import { lineText, type Reader } from '../redis/reply.js';
import type { Values } from './held-values.js';

export interface DatedValues {
  readonly values: Values;
  /** As PTTL tells; undefined: they were not asked for. */
  readonly ttls: Float64Array | undefined;
}

/**
 * Reads an answer to PTTL and a value in turn.
 * @param values reads the values, one by one.
 */
export function datedReader(
  count: number,
  values: Reader,
  resolve: (ttls: Float64Array) => void,
  reject: (error: Error) => void,
): Reader {
  let due: 'number' | 'value' = 'number';
  /** Bytes of the value that have yet to come. */
  let remaining = 0;
  const numbers = new NumbersReader(count, resolve, reject);
  const reader = { done: false, fail, take };

  function fail(error: Error): void {
    numbers.fail(error);
    values.fail(error);
  }

  function take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && !reader.done) {
      if (remaining > 0) {
        const stop = Math.min(end, at + remaining);
        values.take(bytes, at, stop);
        remaining -= stop - at;
        at = stop;
        if (remaining > 0) return at;
        due = 'number';
        reader.done = values.done;
      } else if (due === 'number') {
        const stop = lineEnd(bytes, at, end);
        if (stop === -1) return at;
        at = numbers.take(bytes, at, stop);
        due = 'value';
      } else {
        const stop = valueEnd(bytes, at, end);
        if (stop === -1) return at;
        remaining = stop - at;
      }
    }
    return at;
  }

  return reader;
}

/** Where the line ends, CRLF included; -1 while it is not whole. */
function lineEnd(bytes: Buffer, from: number, end: number): number {
  if (bytes[from] === MINUS) {
    const text = lineText(bytes, from, end);
    return text === undefined ? -1 : from + text.length + 3;
  }
  const cr = headerEnd(bytes, from, end);
  return cr === -1 ? -1 : cr + 2;
}

/** Where the value ends, wherever that is; -1 while its header is not whole. */
function valueEnd(bytes: Buffer, from: number, end: number): number {
  const stop = lineEnd(bytes, from, end);
  if (stop === -1 || bytes[from] === MINUS) return stop;
  if (bytes[from] !== DOLLAR) throw new ProtocolError('a reply that is not a bulk string');
  const length = headerLength(bytes, from, stop - 2);
  return length < 0 ? stop : stop + length + 2;
}
