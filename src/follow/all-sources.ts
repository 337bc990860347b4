/**
 * What a followed database asks of whoever knows of all sources: of its own process, or of the one that began the run
 * (workers/). And what that one tells it.
 */
import { keyStart } from '../redis/frames.js';
import type { FeedPosition, Keys } from '../types.js';
import type { ChangedKeys } from './changed-keys.js';
import type { Round } from './followed-source.js';

export interface AllSources {
  /**
   * Which keys of a page are its own, where another source may have the same; undefined: none has.
   * @returns their indices.
   */
  readonly claim: ((page: Keys) => readonly number[] | Promise<readonly number[]>) | undefined;
  /** Keys that were told to `ownerOf`, and have not arrived there yet. */
  readonly passing: number;
  /** Whose database a key belongs to that could not be copied: slots of a source may have moved. */
  ownerOf(name: string): Pick<ChangedKeys, 'note'> | undefined;
  /**
   * Begins a search for keys that no source has any more.
   * @returns the slots in which it is this database that knows; undefined: no slots are told apart.
   */
  beginSearch(): Promise<ReadonlySet<number> | undefined>;
  endSearch(): Promise<void>;
  /** Those of these keys, which this database lacks, that no other source has either. They are deleted then. */
  absentElsewhere(page: Keys): Promise<Keys>;
  /** What has changed since the position that it was given at the start will be heard of. */
  goesOn(): void;
  /** Up to there every change is in the cluster. */
  reached(position: FeedPosition): void;
  /** @param isCopied whether the first copy is complete. */
  roundEnded(round: Round, isCopied: boolean): void;
}

/** A followed database as it is told what has to be copied. */
export type ToldOfChanges = Pick<
  ChangedKeys,
  'note' | 'noteEverything' | 'noteStrays' | 'isOfFeed'
>;

/*
 * Which of several sources a key of the cluster is from. The cluster has one key of a name, so the first source that
 * has it keeps it: what the others have under that name is never copied, nor is it deleted when they delete theirs.
 */

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
