/** For how long a run was held to what spares the source's clients, and how fast it was then and otherwise. */
import type { Sparing } from '../report.js';

/** What is measured over less tells nothing. */
const leastMs = 1000;

interface LatencyLimit {
  /** Undefined: nobody is spared. */
  readonly sourceLatencyMs: number | undefined;
  /** For whom; undefined: for whom it was asked for. */
  readonly others: object | undefined;
}

export interface Spared {
  /** @param limit what holds; undefined: the run is paused. */
  note(atMs: number, moved: number, limit: LatencyLimit | undefined): void;
  /** Undefined: nobody was ever spared. */
  readonly sparing: Sparing | undefined;
}

/** What went by since the last look counts for what holds now. */
export function createSpared(): Spared {
  const held = { ms: 0, keys: 0 };
  const free = { ms: 0, keys: 0 };
  let limit: { readonly limitMs: number; readonly forOthers: boolean } | undefined;
  let last: { readonly atMs: number; readonly moved: number } | undefined;

  return {
    note(atMs, moved, now) {
      const before = last;
      last = { atMs, moved };
      if (!now) return;
      const { sourceLatencyMs: limitMs, others } = now;
      if (limitMs !== undefined) limit = { limitMs, forOthers: others !== undefined };
      if (!before) return;
      const sum = limitMs === undefined ? free : held;
      sum.ms += atMs - before.atMs;
      sum.keys += moved - before.moved;
    },
    get sparing() {
      if (!limit) return undefined;
      return {
        ...limit,
        durationMs: Math.round(held.ms),
        keysPerSecond: rateOf(held),
        otherwiseKeysPerSecond: rateOf(free),
      };
    },
  };
}

function rateOf({ ms, keys }: { readonly ms: number; readonly keys: number }): number | null {
  return ms < leastMs ? null : Math.round((keys * 1000) / ms);
}
