/**
 * How much may be asked of the source at one time, in keys and in bytes.
 *
 * Enough that the source never waits for the next question, however far away it is; little enough
 * that the answers never pile up in its memory. What the values will weigh is not known when they
 * are asked for, so it is expected from those seen before: SCAN's order is that of a hash, so the
 * next thousand keys are like the last. While nothing is known yet, one key is asked for, then two,
 * then four: a source of nothing but large values would need memory for all that are asked for.
 */
export interface Window {
  /** Waits until some of these keys may be asked for. @returns how many: one part of a batch. */
  enterSome(keyCount: number): Promise<number>;
  /** Waits until these keys may be asked for. */
  enter(keyCount: number): Promise<void>;
  /** The answers are in: so many bytes for so many keys. */
  leave(keyCount: number, valueBytes: number): void;
}

const maxBytes = 16 * 1024 * 1024;
/** What one part of a batch should bring at most. */
const partBytes = 1024 * 1024;
/** And how many keys: others who ask the source wait until it has answered for all of them. */
const partKeys = 512;

/** @param maxKeys how many keys may be asked for ahead. */
export function createWindow(maxKeys: () => number): Window {
  /** Begins high, so that the first questions are small. */
  let expectedBytes = 64 * 1024;
  let isKnown = false;
  /** How many keys may be asked for as long as too few have come; doubles with each answer. */
  let learning = 1;
  let keysAsked = 0;
  let bytesAsked = 0;
  const waiting: { keyCount: number; isWhole: boolean; go: (keyCount: number) => void }[] = [];

  function admit(): void {
    for (let next = waiting[0]; next; next = waiting[0]) {
      const isFull = keysAsked >= Math.min(maxKeys(), learning) || bytesAsked >= maxBytes;
      if (keysAsked > 0 && isFull) return;
      waiting.shift();
      // Never cut to the room that is left: small parts leave small rooms, and make more of them.
      const fitting = Math.min(partKeys, Math.floor(partBytes / expectedBytes), learning);
      const keyCount = next.isWhole ? next.keyCount : Math.min(next.keyCount, Math.max(1, fitting));
      keysAsked += keyCount;
      bytesAsked += keyCount * expectedBytes;
      next.go(keyCount);
    }
  }

  return {
    enterSome(keyCount) {
      return new Promise((go) => {
        waiting.push({ keyCount, isWhole: false, go });
        admit();
      });
    },
    enter(keyCount) {
      return new Promise((go) => {
        const isIn = (): void => {
          go();
        };
        waiting.push({ keyCount, isWhole: true, go: isIn });
        admit();
      });
    },
    leave(keyCount, valueBytes) {
      keysAsked -= keyCount;
      learning = Math.min(learning * 2, Number.MAX_SAFE_INTEGER);
      // No bytes: they were of another type, and will be asked for once more.
      if (isKnown || valueBytes > 0) learn(keyCount, valueBytes / keyCount);
      bytesAsked = Math.max(0, keysAsked * expectedBytes);
      admit();
    },
  };

  function learn(keyCount: number, mean: number): void {
    const share = Math.min(1, keyCount / 256);
    // The first are believed at once, and so is what has grown; what has shrunk little by little.
    const isBelieved = !isKnown || mean > expectedBytes * 2;
    isKnown = true;
    expectedBytes = isBelieved ? mean : expectedBytes * (1 - share) + mean * share;
    expectedBytes = Math.max(expectedBytes, 1);
  }
}
