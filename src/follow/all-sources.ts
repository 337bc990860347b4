/**
 * What a followed database asks of whoever knows of all sources: of its own process, or of the one that began the run
 * (workers/). And what that one tells it.
 */
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
