/** Strings of RDB files that have to be read: keys, and what stands beside them. */
import { length, Malformed, stringHead, takeStringHead } from './lengths.js';

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
