/**
 * Remembers, for a run that copies, how far it has come for good: a later one may go on from there.
 * (One that moves has no need of that: what has been moved is not at the source any more.)
 */
import type { Checkpoint } from '../engine/pipeline.js';
import type { ScanPosition } from '../types.js';

const everyMs = 5000;
/** When it was not to be had, some time passes: each try lets the flow run dry. */
const pauseMs = 30_000;

export interface Checkpoints extends Checkpoint {
  readonly last: ScanPosition | undefined;
}

/**
 * @param position where the scan is now.
 * @param startedAt where it began, if an earlier run had come so far.
 */
export function createCheckpoints(
  position: () => ScanPosition | undefined,
  startedAt?: ScanPosition,
): Checkpoints {
  let last = startedAt;
  let dueAtMs = performance.now() + everyMs;
  return {
    get last() {
      return last;
    },
    isDue: () => performance.now() >= dueAtMs,
    reached(isReached) {
      if (isReached) last = position();
      dueAtMs = performance.now() + (isReached ? everyMs : pauseMs);
    },
  };
}
