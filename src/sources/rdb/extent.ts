/**
 * Finds where a value ends, without decoding it: its parts (value-types.ts) are stepped over.
 *
 * It can be fed piece by piece, so that a value of any size needs no more memory than a small one.
 * What it leaves of a piece (the start of a length) must be offered again with more behind it.
 */
import { length, Malformed, takeCount, takeLength, takeStringHead } from './lengths.js';
import type { Part } from './value-types.js';

/** Parts that are being stepped over, several times. */
interface Level {
  parts: readonly Part[];
  next: number;
  timesLeft: number;
}

const moduleCodes = { end: 0, signed: 1, unsigned: 2, float: 3, double: 4, string: 5 } as const;
/** What the length of a textual double may be instead: not a number, and both infinities. */
const firstUntold = 253;

export class Extent {
  done = false;
  /** Kept and used again: most values have one level or two. */
  readonly #levels: Level[] = [];
  #depth = 0;
  /** Bytes to step over. */
  #skip = 0;

  begin(parts: readonly Part[]): void {
    this.done = false;
    this.#depth = 0;
    this.#skip = 0;
    this.#enter(parts, 1);
  }

  /** @returns up to where it took; `done` tells whether the value ends there. */
  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    for (;;) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, end - at);
        at += step;
        this.#skip -= step;
        if (this.#skip > 0) return at;
      }
      const level = this.#levels[this.#depth - 1] as Level;
      if (level.next === level.parts.length) {
        level.next = 0;
        if (--level.timesLeft === 0 && --this.#depth === 0) {
          this.done = true;
          return at;
        }
        continue;
      }
      const next = this.#takePart(level, bytes, at, end);
      if (next === -1) return at;
      at = next;
    }
  }

  #takePart(level: Level, bytes: Buffer, at: number, end: number): number {
    const part = level.parts[level.next] as Part;
    let next = at;
    if (part === 'string') {
      next = takeStringHead(bytes, at, end);
      if (next === -1) return -1;
      this.#skip = length.value;
    } else if (typeof part === 'number') this.#skip = part;
    else if (part === 'length') {
      next = takeLength(bytes, at, end);
      if (next !== -1 && length.isEncoding) throw new Malformed(at, 'a length');
    } else if (part === 'textual double') {
      if (at >= end) return -1;
      const told = bytes[at] as number;
      this.#skip = told < firstUntold ? told : 0;
      next = at + 1;
    } else if (part === 'module values') {
      // The same part again, until the end is read.
      return this.#takeModuleValue(level, bytes, at, end);
    } else {
      next = takeCount(bytes, at, end);
      if (next === -1) return -1;
      level.next++;
      if (length.value > 0) this.#enter(part, length.value);
      return next;
    }
    if (next !== -1) level.next++;
    return next;
  }

  #takeModuleValue(level: Level, bytes: Buffer, at: number, end: number): number {
    const next = takeLength(bytes, at, end);
    if (next === -1) return -1;
    const code = length.isEncoding ? -1 : length.value;
    if (code === moduleCodes.end) {
      level.next++;
      return next;
    }
    if (code === moduleCodes.signed || code === moduleCodes.unsigned) {
      const after = takeLength(bytes, next, end);
      if (after !== -1 && length.isEncoding) throw new Malformed(next, 'a number of a module');
      return after;
    }
    if (code === moduleCodes.float || code === moduleCodes.double) {
      this.#skip = code === moduleCodes.float ? 4 : 8;
      return next;
    }
    if (code !== moduleCodes.string) throw new Malformed(at, 'a value of a module');
    const after = takeStringHead(bytes, next, end);
    if (after !== -1) this.#skip = length.value;
    return after;
  }

  #enter(parts: readonly Part[], times: number): void {
    const level = this.#levels[this.#depth];
    if (level) {
      level.parts = parts;
      level.next = 0;
      level.timesLeft = times;
    } else this.#levels[this.#depth] = { parts, next: 0, timesLeft: times };
    this.#depth++;
  }
}
