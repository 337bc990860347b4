/**
 * How much may be asked of the source at one time, in keys and in bytes.
 *
 * Enough that the source never waits for the next question, however far away it is; little enough
 * that the answers never pile up in its memory. What the values will weigh is not known when they
 * are asked for, so it is expected from those seen before: SCAN's order is that of a hash, so the
 * next thousand keys are like the last. While nothing is known yet, one key is asked for, then two,
 * then four: a source of nothing but large values would need memory for all that are asked for.
 */
const maxBytes = 16 * 1024 * 1024;
/** What one part of a batch should bring at most. */
const partBytes = 1024 * 1024;
/** And how many keys: others who ask the source wait until it has answered for all of them. */
const partKeys = 512;

interface Waiting {
  readonly keyCount: number;
  readonly isWhole: boolean;
  readonly go: (keyCount: number) => void;
}

export class AskWindow {
  /** Begins high, so that the first questions are small. */
  #expectedBytes = 64 * 1024;
  #isKnown = false;
  /** How many keys may be asked for as long as too few have come; doubles with each answer. */
  #learning = 1;
  #keysAsked = 0;
  #bytesAsked = 0;
  readonly #waiting: Waiting[] = [];

  /** @param maxKeys how many keys may be asked for ahead. */
  constructor(readonly maxKeys: () => number) {}

  /** Waits until some of these keys may be asked for. @returns how many: one part of a batch. */
  enterSome(keyCount: number): Promise<number> {
    return this.#enter(keyCount, false);
  }

  /** Waits until all of these keys may be asked for. */
  async enter(keyCount: number): Promise<void> {
    await this.#enter(keyCount, true);
  }

  /** The answers are in: so many bytes for so many keys. */
  leave(keyCount: number, valueBytes: number): void {
    this.#keysAsked -= keyCount;
    this.#learning = Math.min(this.#learning * 2, Number.MAX_SAFE_INTEGER);
    // No bytes: they were of another type, and will be asked for once more.
    if (this.#isKnown || valueBytes > 0) this.#learn(keyCount, valueBytes / keyCount);
    this.#bytesAsked = Math.max(0, this.#keysAsked * this.#expectedBytes);
    this.#admit();
  }

  #enter(keyCount: number, isWhole: boolean): Promise<number> {
    return new Promise((go) => {
      this.#waiting.push({ keyCount, isWhole, go });
      this.#admit();
    });
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const mostKeys = Math.min(this.maxKeys(), this.#learning);
      const isFull = this.#keysAsked >= mostKeys || this.#bytesAsked >= maxBytes;
      if (this.#keysAsked > 0 && isFull) return;
      this.#waiting.shift();
      // Never cut to the room that is left: small parts leave small rooms, and make more of them.
      const fitting = Math.min(
        partKeys,
        Math.floor(partBytes / this.#expectedBytes),
        this.#learning,
      );
      const keyCount = next.isWhole ? next.keyCount : Math.min(next.keyCount, Math.max(1, fitting));
      this.#keysAsked += keyCount;
      this.#bytesAsked += keyCount * this.#expectedBytes;
      next.go(keyCount);
    }
  }

  #learn(keyCount: number, mean: number): void {
    const share = Math.min(1, keyCount / 256);
    // The first are believed at once, and so is what has grown; what has shrunk little by little.
    const isBelieved = !this.#isKnown || mean > this.#expectedBytes * 2;
    this.#isKnown = true;
    const expected = isBelieved ? mean : this.#expectedBytes * (1 - share) + mean * share;
    this.#expectedBytes = Math.max(expected, 1);
  }
}
