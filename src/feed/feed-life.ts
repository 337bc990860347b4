/**
 * The life of a feed: it is open until it is closed, or until what it listens to has been away for too long. A
 * lost connection is tried again in between.
 */
import pRetry from 'p-retry';
import { ImportError, messageOf, PreflightError, SourceError } from '../errors.js';
import { type Endpoint, printable } from '../redis/endpoint.js';
import type { Logger } from '../types.js';
import type { ChangeListener } from './feed.js';

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
