/**
 * The calls by which a source is told to MIGRATE: over which connection each one goes, and how many keys
 * it may take so that it blocks the source for about as long as it may.
 */
import { Gate } from '../../async.js';
import type { Connection } from '../../redis/connection.js';
import { reopening, type Reopening } from '../reopening.js';

export interface SourceEnd {
  readonly source: Connection;
  /** Its run_id: another one after each restart. */
  readonly sourceRun: string;
}

/** One that the source works on, and one that it finds when that is done. */
const callsAtOnce = 2;

/**
 * Each call has a connection of its own: what two calls on one bring is worked off in one go, and other
 * clients would wait for both.
 */
export class CallConnections {
  readonly #all: readonly Reopening<SourceEnd>[];
  readonly #idle: Reopening<SourceEnd>[];
  readonly #gate = new Gate();
  #idleCount = callsAtOnce;

  constructor(open: () => Promise<SourceEnd>) {
    this.#all = Array.from({ length: callsAtOnce }, () => reopening(open, ({ source }) => source));
    this.#idle = [...this.#all];
  }

  /** Lends a connection as soon as one is free; it has to be given back. */
  async take(): Promise<Reopening<SourceEnd>> {
    await this.#gate.until(() => this.#idleCount > 0 && this.#idleCount-- > 0);
    return this.#idle.pop() as Reopening<SourceEnd>;
  }

  giveBack(connection: Reopening<SourceEnd>): void {
    this.#idle.push(connection);
    this.#idleCount++;
    this.#gate.check();
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }
}

/** No call is taken to be quicker. */
const leastMs = 0.05;

export class CallSize {
  /** How many keys the next call may take. */
  keys = 1;
  #lastAnswerMs = 0;
  #shortestWaitMs = Infinity;

  /** @param limit keys at most. */
  constructor(
    readonly maxBlockMs: number,
    readonly roundTripMs: () => number,
    readonly limit: number,
  ) {}

  /** So many keys were sent then, and have been answered; over how many round trips. */
  note(keyCount: number, sentMs: number, trips: number): void {
    const nowMs = performance.now();
    const waitedMs = nowMs - sentMs;
    this.#shortestWaitMs = Math.min(this.#shortestWaitMs, waitedMs / trips);
    // The way there and back blocks nobody. It can't be longer than all that was waited for once.
    const wayMs = trips * Math.min(this.roundTripMs(), this.#shortestWaitMs);
    const tookMs = Math.max(leastMs, Math.min(waitedMs - wayMs, nowMs - this.#lastAnswerMs));
    this.#lastAnswerMs = nowMs;
    if (keyCount < this.keys / 2) return;
    const fitting = (keyCount * this.maxBlockMs) / tookMs;
    this.keys = Math.max(1, Math.min(this.limit, Math.floor(Math.min(fitting, this.keys * 2))));
  }
}
