/**
 * Which of several sources a key of the cluster is from. The cluster has one key of a name, so the first source that
 * has it keeps it: what the others have under that name is never copied, nor is it deleted when they delete theirs.
 */
import { keyStart } from '../redis/keys.js';
import type { Keys } from '../types.js';

/** Remembers keys, in bounded memory (engine/seen-keys.ts). */
export interface KeyRecord {
  /** Whether the key `bytes[start .. end)` was noted before; notes it. */
  noted(bytes: Buffer, start: number, end: number): boolean;
  /** Whether it was noted before. */
  has(bytes: Buffer, start: number, end: number): boolean;
}

/** The keys of one source. */
export class OwnKeys {
  readonly #all: KeyRecord;
  readonly #own: KeyRecord;

  /** @param all what all sources have claimed, which they share. @param own what this one has. */
  constructor(all: KeyRecord, own: KeyRecord) {
    this.#all = all;
    this.#own = own;
  }

  /** Whether the key `bytes[start .. end)` is known to be this source's. */
  has(bytes: Buffer, start: number, end: number): boolean {
    return this.#own.has(bytes, start, end);
  }

  /** @returns which of a page's keys are this source's: no other one had them before. */
  claimAll({ bytes, starts, count }: Keys): number[] {
    const mine: number[] = [];
    for (let index = 0; index < count; index++) {
      const end = (starts[index + 1] as number) - 2;
      if (this.claim(bytes, keyStart(bytes, starts[index] as number), end)) mine.push(index);
    }
    return mine;
  }

  /** @returns whether the key `bytes[start .. end)` is this source's: no other one had it before. */
  claim(bytes: Buffer, start: number, end: number): boolean {
    if (this.#own.has(bytes, start, end)) return true;
    if (this.#all.noted(bytes, start, end)) return false;
    this.#own.noted(bytes, start, end);
    return true;
  }
}
