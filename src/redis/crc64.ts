/**
 * The checksum of RDB files and RESTORE payloads: CRC64 with Jones' polynomial, reflected, from 0
 * and without a final xor (crc64.c of Redis; "123456789" gives e9c6d914c4b8d9ca).
 *
 * Eight bytes a step through eight tables, each entry as two 32-bit halves: numbers of 64 bits are
 * BigInts in JavaScript, which are fifty times slower.
 */
const polynomialLow = 0xac4bc9b5;
const polynomialHigh = 0x95ac9329;
const width = 8;

/** `low[table * 256 + byte]`, `high[…]`: what `byte` does to the sum, `table` bytes further on. */
const low = new Int32Array(width * 256);
const high = new Int32Array(width * 256);

for (let byte = 0; byte < 256; byte++) {
  let lo = byte;
  let hi = 0;
  for (let bit = 0; bit < 8; bit++) {
    const odd = lo & 1;
    lo = (lo >>> 1) | (hi << 31);
    hi >>>= 1;
    if (odd !== 0) {
      lo ^= polynomialLow;
      hi ^= polynomialHigh;
    }
  }
  low[byte] = lo;
  high[byte] = hi;
}
for (let at = 256; at < width * 256; at++) {
  const lo = low[at - 256] as number;
  const hi = high[at - 256] as number;
  low[at] = (low[lo & 255] as number) ^ ((lo >>> 8) | (hi << 24));
  high[at] = (high[lo & 255] as number) ^ (hi >>> 8);
}

/** A running sum; piece by piece gives the same as all at once. */
export class Crc64 {
  #low = 0;
  #high = 0;

  reset(): void {
    this.#low = 0;
    this.#high = 0;
  }

  update(bytes: Uint8Array, from: number, end: number): void {
    let lo = this.#low;
    let hi = this.#high;
    let at = from;
    for (const last = end - width; at <= last; at += width) {
      const a = lo ^ (bytes[at] as number);
      const b = (lo >>> 8) ^ (bytes[at + 1] as number);
      const c = (lo >>> 16) ^ (bytes[at + 2] as number);
      const d = (lo >>> 24) ^ (bytes[at + 3] as number);
      const e = hi ^ (bytes[at + 4] as number);
      const f = (hi >>> 8) ^ (bytes[at + 5] as number);
      const g = (hi >>> 16) ^ (bytes[at + 6] as number);
      const h = (hi >>> 24) ^ (bytes[at + 7] as number);
      lo =
        (low[1792 + (a & 255)] as number) ^
        (low[1536 + (b & 255)] as number) ^
        (low[1280 + (c & 255)] as number) ^
        (low[1024 + d] as number) ^
        (low[768 + (e & 255)] as number) ^
        (low[512 + (f & 255)] as number) ^
        (low[256 + (g & 255)] as number) ^
        (low[h] as number);
      hi =
        (high[1792 + (a & 255)] as number) ^
        (high[1536 + (b & 255)] as number) ^
        (high[1280 + (c & 255)] as number) ^
        (high[1024 + d] as number) ^
        (high[768 + (e & 255)] as number) ^
        (high[512 + (f & 255)] as number) ^
        (high[256 + (g & 255)] as number) ^
        (high[h] as number);
    }
    for (; at < end; at++) {
      const entry = (lo ^ (bytes[at] as number)) & 255;
      lo = (low[entry] as number) ^ ((lo >>> 8) | (hi << 24));
      hi = (high[entry] as number) ^ (hi >>> 8);
    }
    this.#low = lo;
    this.#high = hi;
  }

  /** Writes the sum's eight bytes as files and payloads hold it, the lowest first. */
  write(to: Buffer, at: number): void {
    to.writeInt32LE(this.#low, at);
    to.writeInt32LE(this.#high, at + 4);
  }

  /** The sum as 16 hex digits. */
  get hex(): string {
    return [this.#high, this.#low]
      .map((half) => (half >>> 0).toString(16).padStart(8, '0'))
      .join('');
  }

  /** Goes on from such digits. */
  set hex(digits: string) {
    this.#high = Number.parseInt(digits.slice(0, 8), 16) | 0;
    this.#low = Number.parseInt(digits.slice(8), 16) | 0;
  }
}
