/** What is under way: how much to each node, and whether anything is at all. */
export interface Flight {
  /** Waits until the node has room for another batch. */
  room(address: string): Promise<void>;
  /** Takes the room up until the work ends. */
  start(address: string, keyCount: number, work: Promise<void>): void;
  /** Counts as under way, without taking room: keys that wait for their next try, and what they weigh. */
  track(work: Promise<void>, keyCount?: number): void;
  /** Waits until no more wait for their next try than can be held in memory. */
  calm(): Promise<void>;
  /** Waits until nothing is under way. */
  idle(): Promise<void>;
}

/** Where each weighs a kilobyte (see pipeline.ts), that is 64 MB. */
const mostWaitingKeys = 65_536;

/**
 * @param limitKeys how many keys may be in flight to one node.
 * @param limitAllKeys how many to all nodes together.
 */
export function createFlight(
  limitKeys: () => number,
  limitAllKeys: () => number = () => Infinity,
): Flight {
  const keysTo = new Map<string, number>();
  let allKeys = 0;
  let waitingKeys = 0;
  let works = 0;
  let waiting: { isOver: () => boolean; go: () => void }[] = [];

  function until(isOver: () => boolean): Promise<void> {
    if (isOver()) return Promise.resolve();
    return new Promise((go) => waiting.push({ isOver, go }));
  }

  function wake(): void {
    if (waiting.length === 0) return;
    const ready = waiting.filter((one) => one.isOver());
    if (ready.length === 0) return;
    waiting = waiting.filter((one) => !ready.includes(one));
    for (const one of ready) one.go();
  }

  function track(work: Promise<void>, keyCount = 0): void {
    works++;
    waitingKeys += keyCount;
    void work.finally(() => {
      works--;
      waitingKeys -= keyCount;
      wake();
    });
  }

  return {
    room: (address) =>
      until(() => (keysTo.get(address) ?? 0) < limitKeys() && allKeys < limitAllKeys()),
    start(address, keyCount, work) {
      keysTo.set(address, (keysTo.get(address) ?? 0) + keyCount);
      allKeys += keyCount;
      track(
        work.finally(() => {
          allKeys -= keyCount;
          keysTo.set(address, (keysTo.get(address) ?? 0) - keyCount);
        }),
      );
    },
    track,
    calm: () => until(() => waitingKeys < mostWaitingKeys),
    idle: () => until(() => works === 0),
  };
}
