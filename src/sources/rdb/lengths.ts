/**
 * The part of a file that is looked at (`Window`), and in it lengths and strings as RDB files write them.
 *
 * All functions work on offsets: they take from `at`,
 * and return where what they took ends, or -1 while `end` comes before that.
 */
import { Crc64 } from '../../redis/crc64.js';

/** What stands in a file is not what must stand there. `at` is an offset like those taken. */
export class Malformed extends Error {
  constructor(
    readonly at: number,
    readonly expected: string,
  ) {
    super(`expected ${expected}`);
    this.name = new.target.name;
  }
}

/** What the last `takeLength` found; one object, because lengths are as frequent as keys. */
export const length = {
  value: 0,
  /** It is no length, but tells how a string is written: one of `encodings`. */
  isEncoding: false,
};

export const encodings = { int8: 0, int16: 1, int32: 2, compressed: 3 } as const;
const widestInteger: number = encodings.int32;
const compressedString: number = encodings.compressed;

const bits32 = 0x80;
const bits64 = 0x81;

/** Beyond 2^53 the value is the nearest double. */
export function takeLength(bytes: Buffer, at: number, end: number): number {
  if (at >= end) return -1;
  const first = bytes[at] as number;
  length.isEncoding = first >= 0xc0;
  if (first < 0x40 || first >= 0xc0) {
    length.value = first & 0x3f;
    return at + 1;
  }
  if (first < 0x80) {
    if (at + 2 > end) return -1;
    length.value = ((first & 0x3f) << 8) | (bytes[at + 1] as number);
    return at + 2;
  }
  if (first === bits32) {
    if (at + 5 > end) return -1;
    length.value = bytes.readUInt32BE(at + 1);
    return at + 5;
  }
  if (first !== bits64) throw new Malformed(at, 'a length');
  if (at + 9 > end) return -1;
  length.value = bytes.readUInt32BE(at + 1) * 2 ** 32 + bytes.readUInt32BE(at + 5);
  return at + 9;
}

/** A length that is one, and can be counted to. */
export function takeCount(bytes: Buffer, at: number, end: number): number {
  const next = takeLength(bytes, at, end);
  if (next === -1) return -1;
  if (length.isEncoding || length.value > Number.MAX_SAFE_INTEGER) {
    throw new Malformed(at, 'a length');
  }
  return next;
}

/**
 * Takes what stands ahead of a string's bytes; then `length.value` is how many bytes follow, and
 * `compressedTo` what they unfold to (0: they are no LZF).
 */
export function takeStringHead(bytes: Buffer, at: number, end: number): number {
  let next = takeLength(bytes, at, end);
  if (next === -1) return -1;
  stringHead.compressedTo = 0;
  stringHead.isInteger = false;
  if (!length.isEncoding) {
    if (length.value > Number.MAX_SAFE_INTEGER) throw new Malformed(at, 'the length of a string');
    return next;
  }
  if (length.value <= widestInteger) {
    length.value = 1 << length.value;
    stringHead.isInteger = true;
    return next;
  }
  if (length.value !== compressedString) throw new Malformed(at, 'a string');
  next = takeCount(bytes, next, end);
  if (next === -1) return -1;
  const compressed = length.value;
  const after = takeCount(bytes, next, end);
  if (after === -1) return -1;
  stringHead.compressedTo = length.value;
  // Even the best case of LZF gives no more than 264 bytes for three.
  if (compressed === 0 || length.value === 0 || length.value > compressed * 264) {
    throw new Malformed(next, 'the length of a compressed string');
  }
  length.value = compressed;
  return after;
}

/** How the last string that `takeStringHead` saw is written. */
const stringHead = { compressedTo: 0, isInteger: false };

// Strings that have to be read: keys, and what stands beside them.

/** What is longer is taken for damage: strings that are read have to be held. */
export const longestString = 64 * 1024 * 1024;
export const expectedString = `a string of no more than ${String(longestString)} bytes`;

/** What the last `takeString` found: `bytes[from .. end)`; valid as long as the bytes stay. */
export const text: { bytes: Buffer; from: number; end: number } = {
  bytes: Buffer.alloc(0),
  from: 0,
  end: 0,
};

/** @returns where the string ends; -1: not all of it is here. */
export function takeString(bytes: Buffer, at: number, end: number): number {
  const from = takeStringHead(bytes, at, end);
  if (from === -1) return -1;
  if (Math.max(length.value, stringHead.compressedTo) > longestString) {
    throw new Malformed(at, expectedString);
  }
  const next = from + length.value;
  if (next > end) return -1;
  const isPlain = !stringHead.isInteger && stringHead.compressedTo === 0;
  text.bytes = isPlain ? bytes : decode(bytes, from, next);
  text.from = isPlain ? from : 0;
  text.end = isPlain ? next : text.bytes.length;
  return next;
}

/** The text of the string whose bytes, as the last head told, are `bytes[from .. end)`. */
function decode(bytes: Buffer, from: number, end: number): Buffer {
  if (stringHead.isInteger) return Buffer.from(String(bytes.readIntLE(from, end - from)), 'latin1');
  return unfold(bytes, from, end, stringHead.compressedTo);
}

/** LZF, as liblzf's lzf_d.c: runs of literals, and copies of what came before. */
function unfold(bytes: Buffer, from: number, end: number, size: number): Buffer {
  const out = Buffer.allocUnsafe(size);
  let used = 0;
  let at = from;
  while (at < end) {
    const control = bytes[at++] as number;
    if (control < 32) {
      const count = control + 1;
      if (at + count > end || used + count > size) throw new Malformed(at, 'a compressed string');
      for (let left = count; left > 0; left--) out[used++] = bytes[at++] as number;
      continue;
    }
    let count = control >> 5;
    if (count === 7) count += at < end ? (bytes[at++] as number) : 0;
    if (at >= end) throw new Malformed(at, 'a compressed string');
    let source = used - ((control & 31) << 8) - (bytes[at++] as number) - 1;
    count += 2;
    if (source < 0 || used + count > size) throw new Malformed(at, 'a compressed string');
    for (; count > 0; count--) out[used++] = out[source++] as number;
  }
  if (used !== size) throw new Malformed(end, 'a compressed string of its length');
  return out;
}

/*
 * The part of a file that is being looked at: bytes are read behind those that are still needed,
 * and everything that was taken is summed up for the file's checksum.
 */

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
