/**
 * When a key expires, as far as a reply to PTTL says: the server may have looked when it was asked,
 * when its answer came, or in between. A busy server's answer is as good as it is quick.
 */
export interface DeadlineSpan {
  /** In ms since the epoch, by this machine's clock. */
  readonly earliestMs: number;
  readonly latestMs: number;
}

/** Deadlines count as equal within this: reading one and setting it takes time. */
export const deadlineToleranceMs = 1000;

/** @param ttlMs the answer, which has come just now; less than 0: it does not expire. */
export function deadlineSpan(ttlMs: number, askedMs: number): DeadlineSpan | undefined {
  return ttlMs < 0 ? undefined : { earliestMs: askedMs + ttlMs, latestMs: Date.now() + ttlMs };
}

/** How far two deadlines are apart at least, in ms; below 0 where they may be the same. */
export function msApart(one: DeadlineSpan, other: DeadlineSpan): number {
  return Math.max(one.earliestMs, other.earliestMs) - Math.min(one.latestMs, other.latestMs);
}
