/** What a feed is, whatever it listens to: the words between those who hear of changes and those who follow. */
import pRetry from 'p-retry';
import type { Control } from '../redis/control.js';
import type { FeedName, FeedPosition, Logger } from '../types.js';
import { ImportError, messageOf, PreflightError, SourceError } from '../errors.js';
import { type Endpoint, printable } from '../redis/endpoint.js';

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

/*
 * The life of a feed: it is open until it is closed, or until what it listens to has been away for too long. A
 * lost connection is tried again in between.
 */

/** What every feed needs that listens to a source. */
export interface FeedOptions {
  /** Of the source, with the database that is followed. */
  readonly endpoint: Endpoint;
  readonly listener: ChangeListener;
  readonly logger: Logger;
  /** For opening and for ordinary commands. */
  readonly timeoutMs: number;
  /** How long a lost connection is tried again before the feed gives up. */
  readonly retryForMs: number;
}

/**
 * Opens a feed, and closes it again if that failed.
 * @throws PreflightError in one sentence that names the server, what it refused, and the way out.
 */
export async function opened<F extends { open(): Promise<void>; close(): void }>(
  feed: F,
): Promise<F> {
  try {
    await feed.open();
    return feed;
  } catch (error) {
    feed.close();
    if (error instanceof PreflightError || !(error instanceof ImportError)) throw error;
    throw new PreflightError(error.message, { cause: error });
  }
}

export class FeedLife {
  /** Rejects when the feed can't go on for good: SourceError. Resolves when it is closed. */
  readonly ended: Promise<void>;
  readonly #options: Pick<FeedOptions, 'endpoint' | 'retryForMs'>;
  readonly #letGo: (error: SourceError) => void;
  readonly #closing = new AbortController();
  #settleEnded: (error?: SourceError) => void = () => undefined;
  #error: SourceError | undefined;

  /** @param letGo closes what the feed has open; its waiters reject with this. */
  constructor(
    options: Pick<FeedOptions, 'endpoint' | 'retryForMs'>,
    letGo: (error: SourceError) => void,
  ) {
    this.#options = options;
    this.#letGo = letGo;
    this.ended = new Promise((resolve, reject) => {
      this.#settleEnded = (error) => {
        if (error) reject(error);
        else resolve();
      };
    });
    // Whoever does not watch it learns of the end when they wait for changes.
    this.ended.catch(() => undefined);
  }

  /** Ends all waiting when the feed is closed or has given up. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /** Why nothing is reported any more; undefined: it is. */
  get error(): SourceError | undefined {
    return this.#error;
  }

  close(): void {
    this.#stop(new SourceError('the feed of changes was closed'));
    this.#settleEnded();
  }

  /** For good: nothing is reported any more. */
  giveUp(error: SourceError): void {
    if (this.#error) return;
    this.#stop(error);
    this.#settleEnded(error);
  }

  /**
   * Tries until it works, or gives up.
   * @param connect may be tried again where it throws ImportError, but for PreflightError.
   * @returns whether it worked.
   */
  async again(connect: () => Promise<void>): Promise<boolean> {
    try {
      await pRetry(connect, {
        retries: Infinity,
        minTimeout: 50,
        maxTimeout: 2000,
        maxRetryTime: this.#options.retryForMs,
        signal: this.signal,
        shouldRetry: ({ error }) =>
          error instanceof ImportError && !(error instanceof PreflightError),
      });
      return true;
    } catch (error) {
      this.giveUp(this.#whyNot(error));
      return false;
    }
  }

  #stop(error: SourceError): void {
    this.#error ??= error;
    this.#closing.abort();
    this.#letGo(this.#error);
  }

  #whyNot(error: unknown): SourceError {
    const { endpoint, retryForMs } = this.#options;
    const reason = messageOf(error);
    const message =
      error instanceof PreflightError
        ? reason
        : `the changes of ${printable(endpoint)} could not be heard again within ${String(retryForMs / 1000)} s: ${reason}`;
    return new SourceError(message, { cause: error });
  }
}
