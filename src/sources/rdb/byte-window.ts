/**
 * The part of a file that is being looked at: bytes are read behind those that are still needed,
 * and everything that was taken is summed up for the file's checksum.
 */
import { Crc64 } from '../../redis/crc64.js';

/** Where bytes come from, in order. */
export interface ByteInput {
  /** Reads on into `into[at ..)`. @returns how many bytes came; 0 at the end. */
  read(into: Buffer, at: number): Promise<number>;
}

const initialBytes = 1024 * 1024;

export class Window {
  bytes = Buffer.allocUnsafeSlow(initialBytes);
  /** What is looked at next, and the end of what is there. */
  at = 0;
  end = 0;
  /** The sum of everything that was taken. */
  readonly sum = new Crc64();
  #base = 0;
  #summedTo = 0;

  constructor(readonly input: ByteInput) {}

  /** Where `bytes[0]` stands in the file. */
  get base(): number {
    return this.#base;
  }

  /** Where a place in `bytes` is in the file. */
  offsetOf(place: number): number {
    return this.#base + place;
  }

  /** Brings the sum up to what was taken so far. */
  settleSum(): void {
    this.sum.update(this.bytes, this.#summedTo, this.at);
    this.#summedTo = this.at;
  }

  /** Reads on, with more room if all of it is still needed. @returns false at the end. */
  async refill(): Promise<boolean> {
    this.settleSum();
    const left = this.end - this.at;
    const to = left === this.bytes.length ? Buffer.allocUnsafeSlow(left * 2) : this.bytes;
    this.bytes.copy(to, 0, this.at, this.end);
    this.bytes = to;
    this.#base += this.at;
    this.#summedTo = 0;
    this.at = 0;
    this.end = left;
    const count = await this.input.read(to, left);
    this.end += count;
    return count > 0;
  }

  /** Goes on at another place of the file, with the sum of what stands before it. */
  async skipTo(offset: number, sum: string): Promise<boolean> {
    while (this.#base + this.end < offset) {
      this.at = this.end;
      if (!(await this.refill())) return false;
    }
    this.at = offset - this.#base;
    this.#summedTo = this.at;
    this.sum.hex = sum;
    return true;
  }
}
