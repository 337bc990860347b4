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
  /** The source's round trip, as measured: a longer one wants more in flight. */
  setRoundTrip(ms: number): void;
}

/** What the source may be asked for ahead on a line without delay. */
const nearKeys = 1024;
const nearBytes = 4 * 1024 * 1024;
/** What it takes to keep a source busy across a round trip, per ms. */
const keysPerMs = 400;
const bytesPerMs = 512 * 1024;
const farKeys = 65_536;
const farBytes = 48 * 1024 * 1024;

export function createWindow(): Window {
  let maxKeys = nearKeys;
  let maxBytes = nearBytes;
  /** Begins high, so that the first questions are small. */
  let expectedBytes = 64 * 1024;
  let keysAsked = 0;
  let bytesAsked = 0;
  const waiting: { keyCount: number; expected: number; go: () => void }[] = [];

  function admit(): void {
    for (let next = waiting[0]; next; next = waiting[0]) {
      const fits = keysAsked < maxKeys && bytesAsked < maxBytes;
      if (keysAsked > 0 && !fits) return;
      waiting.shift();
      keysAsked += next.keyCount;
      bytesAsked += next.keyCount * expectedBytes;
      next.go();
    }
  }

  return {
    keysPerPart: () => Math.max(1, Math.floor(maxBytes / 4 / expectedBytes)),
    enter(keyCount) {
      return new Promise((go) => {
        waiting.push({ keyCount, expected: 0, go });
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
    setRoundTrip(ms) {
      maxKeys = Math.min(farKeys, Math.round(nearKeys + ms * keysPerMs));
      maxBytes = Math.min(farBytes, Math.round(nearBytes + ms * bytesPerMs));
    },
  };
}
