/** How many keys one call may take, so that it blocks the source for about as long as it may. */

/** No call is taken to be quicker. */
const leastMs = 0.05;

export interface CallSize {
  readonly keys: number;
  /** So many keys were sent then, and have been answered; over how many round trips. */
  note(keyCount: number, sentMs: number, trips: number): void;
}

/** @param limit keys at most. */
export function createCallSize(
  maxBlockMs: number,
  roundTripMs: () => number,
  limit: number,
): CallSize {
  let keys = 1;
  let lastAnswerMs = 0;
  let shortestWaitMs = Infinity;

  return {
    get keys() {
      return keys;
    },
    note(keyCount, sentMs, trips) {
      const nowMs = performance.now();
      const waitedMs = nowMs - sentMs;
      shortestWaitMs = Math.min(shortestWaitMs, waitedMs / trips);
      // The way there and back blocks nobody. It can't be longer than all that was waited for once.
      const wayMs = trips * Math.min(roundTripMs(), shortestWaitMs);
      const tookMs = Math.max(leastMs, Math.min(waitedMs - wayMs, nowMs - lastAnswerMs));
      lastAnswerMs = nowMs;
      if (keyCount < keys / 2) return;
      const fitting = (keyCount * maxBlockMs) / tookMs;
      keys = Math.max(1, Math.min(limit, Math.floor(Math.min(fitting, keys * 2))));
    },
  };
}
