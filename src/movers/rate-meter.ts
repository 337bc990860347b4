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

export interface RateMeter {
  /** Measures from now on, if it does not do so already. */
  begin(): void;
  /** Forgets all; `begin` has to be called again. */
  end(): void;
  /** Measures anew, its start being over: what it did so far was done with less. */
  restart(): void;
  /** There is nothing to do, which is not the mover's fault. */
  idle(): void;
  busy(): void;
  /** @returns undefined while it warms up. */
  add(movedKeys: number): Measured | undefined;
}

/** @param roundTripMs how far the source is. */
export function createRateMeter(roundTripMs: () => number): RateMeter {
  let startMs: number | undefined;
  let idleFromMs: number | undefined;
  let idleMs = 0;
  let movedKeys = 0;
  let answers = 0;

  const warmUpMs = (): number => Math.max(warmUp.ms, warmUp.roundTrips * roundTripMs());

  function startAt(ms: number): void {
    startMs = ms;
    idleMs = 0;
    movedKeys = 0;
    answers = 0;
  }

  return {
    begin() {
      if (startMs === undefined) startAt(performance.now());
    },
    end() {
      startMs = undefined;
    },
    restart() {
      const nowMs = performance.now();
      if (startMs !== undefined && nowMs - startMs - idleMs > warmUpMs()) {
        startAt(nowMs - warmUpMs());
      }
    },
    idle() {
      idleFromMs = performance.now();
    },
    busy() {
      if (idleFromMs !== undefined) idleMs += performance.now() - idleFromMs;
      idleFromMs = undefined;
    },
    add(moved) {
      if (startMs === undefined) return undefined;
      const elapsedMs = performance.now() - startMs - idleMs;
      const countedMs = elapsedMs - warmUpMs();
      if (countedMs < 0) {
        movedKeys = 0;
        return undefined;
      }
      movedKeys += moved;
      answers++;
      const turnMs = Math.max(turn.ms, turn.roundTrips * roundTripMs());
      return {
        rate: (movedKeys / countedMs) * 1000,
        elapsedMs,
        isTelling: elapsedMs >= turnMs && answers >= turn.answers,
      };
    },
  };
}
