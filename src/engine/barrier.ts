/**
 * Waits for what is under way now, while new work goes on beginning.
 *
 * A key that is listed a second time may still be on its way from where it was listed first; it is
 * looked at only once that has ended. Ended means for good: a batch whose keys go round again is
 * under way until the last of them has come to rest, because what a later try does rests on what
 * the earlier ones have left at the node.
 */
export interface Barrier {
  /** @param life lasts until nothing is left to be done for what it stands for. */
  track(life: Promise<void>): void;
  /** Waits until what is under way at this moment has ended. */
  settled(): Promise<void>;
}

export function createBarrier(): Barrier {
  const lives = new Set<Promise<void>>();
  return {
    track(life) {
      const ended = life
        .catch(() => undefined)
        .finally(() => {
          lives.delete(ended);
        });
      lives.add(ended);
    },
    async settled() {
      await Promise.all([...lives]);
    },
  };
}
