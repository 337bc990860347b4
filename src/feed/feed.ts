/** What a feed is, whatever it listens to: the words between those who hear of changes and those who follow. */
import type { Control } from '../redis/control.js';
import type { FeedName, FeedPosition } from '../types.js';

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

/** Carries out work over a connection to the source; again over another one where that is lost. */
export type AskSource = <T>(work: (control: Control) => Promise<T>) => Promise<T>;

export interface Feed {
  /** `none`: nobody tells of changes. */
  readonly kind: FeedName;
  /** From where a later start can go on; undefined: it can't, by this feed. */
  readonly position: FeedPosition | undefined;
  /** How many gaps there were: the link was lost and the source no longer had what was missed. */
  readonly gaps: number;
  /** When bytes last came, ms since the epoch. */
  readonly heardAtMs: number;
  /** Whether the link is up at this moment. */
  readonly isUp: boolean;
  /**
   * Resolves once every change has been reported that the source had carried out when this was called, as
   * far as the feed can hear of it. Rejects with the signal's reason, or with SourceError when the feed has
   * given up or what it waits for has lost its meaning.
   */
  caughtUp(askSource: AskSource, signal: AbortSignal): Promise<void>;
  /** Settles (rejects) when the feed can't go on for good: SourceError. Never resolves before close(). */
  readonly ended: Promise<void>;
  close(): void;
}
