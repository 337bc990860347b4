/**
 * How fast a mover is in its turn: its start does not count, nor what it does with less than it can take,
 * nor the time when there is nothing to do.
 */

/** How long a turn lasts at least, and how much of its start does not count: in ms, and in round trips. */
const turn = { ms: 250, roundTrips: 12, answers: 4 };
const warmUp = { ms: 100, roundTrips: 4 };

export interface Measured {
  /** In keys a second. */
  readonly rate: number;
  /** Since the beginning, the time of nothing to do left out. */
  readonly elapsedMs: number;
  /** It was watched for long enough to tell. */
  readonly isTelling: boolean;
}

export class RateMeter {
  #startMs: number | undefined;
  #idleFromMs: number | undefined;
  #idleMs = 0;
  #movedKeys = 0;
  #answers = 0;

  /** @param roundTripMs how far the source is. */
  constructor(readonly roundTripMs: () => number) {}

  /** Measures from now on, if it does not do so already. */
  begin(): void {
    if (this.#startMs === undefined) this.#startAt(performance.now());
  }

  /** Forgets all; `begin` has to be called again. */
  end(): void {
    this.#startMs = undefined;
  }

  /** Measures anew, its start being over: what it did so far was done with less. */
  restart(): void {
    if (this.#startMs === undefined) return;
    const nowMs = performance.now();
    const warmUpMs = this.#warmUpMs();
    if (nowMs - this.#startMs - this.#idleMs > warmUpMs) this.#startAt(nowMs - warmUpMs);
  }

  /** There is nothing to do, which is not the mover's fault. */
  idle(): void {
    this.#idleFromMs = performance.now();
  }

  busy(): void {
    if (this.#idleFromMs !== undefined) this.#idleMs += performance.now() - this.#idleFromMs;
    this.#idleFromMs = undefined;
  }

  /** @returns undefined while it warms up. */
  add(moved: number): Measured | undefined {
    if (this.#startMs === undefined) return undefined;
    const elapsedMs = performance.now() - this.#startMs - this.#idleMs;
    const countedMs = elapsedMs - this.#warmUpMs();
    if (countedMs < 0) {
      this.#movedKeys = 0;
      return undefined;
    }
    this.#movedKeys += moved;
    this.#answers++;
    const turnMs = Math.max(turn.ms, turn.roundTrips * this.roundTripMs());
    return {
      rate: (this.#movedKeys / countedMs) * 1000,
      elapsedMs,
      isTelling: elapsedMs >= turnMs && this.#answers >= turn.answers,
    };
  }

  #warmUpMs(): number {
    return Math.max(warmUp.ms, warmUp.roundTrips * this.roundTripMs());
  }

  #startAt(ms: number): void {
    this.#startMs = ms;
    this.#idleMs = 0;
    this.#movedKeys = 0;
    this.#answers = 0;
  }
}
