/**
 * One followed server as the cutover sees it, wherever it is followed: in this process (local-participant.ts), or in
 * another one (workers/remote-participant.ts). What goes in and comes out is plain data.
 *
 * The steps of an attempt come in this order, each at all servers before the next one at any:
 *
 *   prepare, approach, hold, copyTheRest, settle, look, shut, unpause, lateWrites, end
 *
 * From `hold` to `look` they are gone through again until nothing is left. `letGo` may come at any time, and ends the
 * attempt. Each step rejects with ImportError in one clause.
 */
import type { ImportError } from '../errors.js';
import type { FenceName } from '../types.js';

/** How the following of a server stands. */
export interface ParticipantState {
  /** The first copy of all of its databases is complete. */
  readonly isCopied: boolean;
  /** By what its changes are heard of. */
  readonly feed: string;
  /** How its writes are held. */
  readonly fence: FenceName;
  /** Changes that were heard of. */
  readonly changes: number;
  readonly gaps: number;
  /** Keys that wait to be copied; null: all of a database. */
  readonly waiting: number | null;
  /** How long the oldest change has waited, or nothing was heard, whichever is longer. */
  readonly lagMs: number;
}

/** Keys that could not be copied, and why one of them could not. */
export interface Unmoved {
  readonly count: number;
  readonly message: string;
}

/** How a server stands while its writes are held. */
export interface Standstill {
  /** No write can have been carried out since `settle` began, and nothing is left to copy. */
  readonly isStill: boolean;
  /** How many keys its databases have. */
  readonly keys: number;
}

/** Writes that came behind the last change that was copied. */
export interface LateWrites {
  readonly keys: number;
  /** Why it is not known which keys were written to; null: it is. */
  readonly unknown: string | null;
}

export interface Participant {
  readonly address: string;
  readonly state: ParticipantState;
  /** @param hear is told why its writes may not be held any more, wherever an attempt stands. */
  onLost(hear: (error: ImportError) => void): void;
  /** Whether rounds follow one another without a rest, and no limit counts. */
  hurry(isHurried: boolean): void;
  /** Copies what waits while writes go on, so that little is left for the hold. */
  prepare(): Promise<void>;
  /** Where all clients will be held: reads the source by another way from now on. */
  approach(): Promise<void>;
  /** From the moment at which it resolves no client's write is carried out, until `letGo`. */
  hold(): Promise<void>;
  /** Hears and copies all that was written before. @returns null: all of it was copied. */
  copyTheRest(): Promise<Unmoved | null>;
  /** Hears of all once more, and lets no round begin. @returns whether nothing is left to copy. */
  settle(): Promise<boolean>;
  look(): Promise<Standstill>;
  /** Rounds may begin again: another hold follows. */
  goOn(): void;
  /** Lets writes go on. @returns why the server could not be told so, and what becomes of that; null: it was. */
  letGo(): Promise<string | null>;
  /**
   * Makes it refuse writes for good.
   * @param hasSwitched clients write to the cluster already: it is tried by all means.
   * @returns how many replicas it wanted for a write before; null: it does not let us.
   */
  shut(hasSwitched: boolean): Promise<number | null>;
  /** Lets go what waits: it is refused, if the server has been shut. */
  unpause(): Promise<void>;
  lateWrites(): Promise<LateWrites>;
  /** Nothing is followed any more. */
  end(): void;
}
