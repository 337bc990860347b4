/** How long changes had to wait until they were copied: shares of all, in bounded memory. */

/** Each bucket is a tenth wider than the one before. */
const growth = Math.log(1.1);

export class Lag {
  readonly #buckets: number[] = [];
  #count = 0;
  #maxMs = 0;

  /** @param keys how many keys waited that long, at most. */
  note(lagMs: number, keys: number): void {
    const bucket = Math.max(0, Math.ceil(Math.log(Math.max(1, lagMs)) / growth));
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + keys;
    this.#count += keys;
    this.#maxMs = Math.max(this.#maxMs, lagMs);
  }

  /** The lag that this share of the changes did not exceed, to a tenth, in ms. */
  quantileMs(share: number): number {
    let left = share * this.#count;
    for (const [bucket, keys = 0] of this.#buckets.entries()) {
      left -= keys;
      if (keys > 0 && left <= 0) return Math.min(this.#maxMs, Math.exp(bucket * growth));
    }
    return this.#maxMs;
  }

  get maxMs(): number {
    return this.#maxMs;
  }
}
