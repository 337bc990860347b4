/**
 * Waits for what is under way now, while new work goes on beginning.
 *
 * A key that is listed a second time may still be on its way from where it was listed first; it is
 * looked at only once that has ended.
 */
export interface Barrier {
  track(work: Promise<void>): void;
  /** Waits until what is under way at this moment has ended. */
  settled(): Promise<void>;
}

export function createBarrier(): Barrier {
  const works = new Set<Promise<void>>();
  return {
    track(work) {
      const ended = work.finally(() => works.delete(ended));
      works.add(ended);
    },
    async settled() {
      await Promise.allSettled([...works]);
    },
  };
}
