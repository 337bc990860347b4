/** What a feed is, whatever it listens to: the words between those who hear of changes and those who follow. */
import type { FeedPosition } from '../types.js';

/** Hears of the source's changes, in the order in which they happened. Keys are latin1 strings of their bytes. */
export interface ChangeListener {
  /** This key may have changed, or is gone. */
  changed(db: number, name: string): void;
  /**
   * Any key of the database (undefined: of all databases) may have changed or is gone; `why` is one
   * plain-English clause.
   */
  everything(db: number | undefined, why: string): void;
}

export interface Feed {
  readonly kind: 'replication';
  /** Up to this offset of the source's stream every change has been reported to the listener. */
  readonly offset: number;
  readonly position: FeedPosition;
  /** How many gaps there were: the link was lost and the source no longer had what was missed. */
  readonly gaps: number;
  /** When bytes last came, ms since the epoch. */
  readonly heardAtMs: number;
  /** Whether the link is up at this moment. */
  readonly isUp: boolean;
  /**
   * Resolves when `offset` is at or past this. Rejects with the signal's reason, or with SourceError when
   * the feed has given up, or when the source has begun a new history, in which the offset means nothing.
   */
  reached(offset: number, signal: AbortSignal): Promise<void>;
  /** Settles (rejects) when the feed can't go on for good: SourceError. Never resolves before close(). */
  readonly ended: Promise<void>;
  close(): void;
}
