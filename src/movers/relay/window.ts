/**
 * How much may be asked of the source at one time, in keys and in bytes.
 *
 * Enough that the source never waits for the next question, however far away it is; little enough
 * that the answers never pile up in its memory. What the values will weigh is not known when they
 * are asked for, so it is expected from those seen before: SCAN's order is that of a hash, so the
 * next thousand keys are like the last.
 */
export interface Window {
  /** How many keys of a batch to ask for in one part. */
  keysPerPart(): number;
  /** Waits until these keys may be asked for. */
  enter(keyCount: number): Promise<void>;
  /** The answers are in: so many bytes for so many keys. */
  leave(keyCount: number, valueBytes: number): void;
}

const maxBytes = 16 * 1024 * 1024;
/** What one part of a batch should bring at most. */
const partBytes = 1024 * 1024;

/** @param maxKeys how many keys may be asked for ahead. */
export function createWindow(maxKeys: () => number): Window {
  /** Begins high, so that the first questions are small. */
  let expectedBytes = 64 * 1024;
  let keysAsked = 0;
  let bytesAsked = 0;
  const waiting: { keyCount: number; go: () => void }[] = [];

  function admit(): void {
    for (let next = waiting[0]; next; next = waiting[0]) {
      const fits = keysAsked < maxKeys() && bytesAsked < maxBytes;
      if (keysAsked > 0 && !fits) return;
      waiting.shift();
      keysAsked += next.keyCount;
      bytesAsked += next.keyCount * expectedBytes;
      next.go();
    }
  }

  return {
    keysPerPart: () => Math.max(1, Math.floor(partBytes / expectedBytes)),
    enter(keyCount) {
      return new Promise((go) => {
        waiting.push({ keyCount, go });
        admit();
      });
    },
    leave(keyCount, valueBytes) {
      keysAsked -= keyCount;
      const share = Math.min(1, keyCount / 256);
      const mean = valueBytes / keyCount;
      // What has grown is believed at once, what has shrunk little by little.
      expectedBytes = mean > expectedBytes * 2 ? mean : expectedBytes * (1 - share) + mean * share;
      expectedBytes = Math.max(expectedBytes, 1);
      bytesAsked = Math.max(0, keysAsked * expectedBytes);
      admit();
    },
  };
}
