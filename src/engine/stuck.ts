/**
 * Keys that are accounted for and still at the source: conflicts and failures. Later passes leave
 * them out, so that nothing is counted twice.
 *
 * The first ones are kept as they are, the others as hashes of 52 bits: among four million of those
 * one key in a billion is taken for another.
 */
const defaultLimits = { exact: 100_000, hashed: 4_000_000 };

export interface StuckKeys {
  add(key: Buffer): void;
  readonly has: (bytes: Buffer, start: number, end: number) => boolean;
  readonly any: boolean;
  /** More than can be kept: no further pass can tell them from new ones. */
  readonly isFull: boolean;
}

/** @param limits how many are kept as they are, and how many others as hashes. */
export function stuckKeys(limits = defaultLimits): StuckKeys {
  const keys = new Set<string>();
  const hashes = new Set<number>();
  return {
    add(key) {
      if (keys.size < limits.exact) keys.add(key.toString('latin1'));
      else if (hashes.size < limits.hashed) hashes.add(hashOf(key, 0, key.length));
    },
    has: (bytes, start, end) =>
      keys.size > 0 &&
      (keys.has(bytes.toString('latin1', start, end)) ||
        (hashes.size > 0 && hashes.has(hashOf(bytes, start, end)))),
    get any() {
      return keys.size > 0;
    },
    get isFull() {
      return hashes.size >= limits.hashed;
    },
  };
}

/** Two hashes of 32 bits, of which 26 each are kept (MurmurHash3's steps and finaliser). */
function hashOf(bytes: Buffer, start: number, end: number): number {
  let one = end - start;
  let two = 0x9747b28c;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    one = Math.imul(one ^ byte, 0x01000193);
    one = Math.imul((one << 15) | (one >>> 17), 0x1b873593);
    two = Math.imul(two ^ byte, 0xcc9e2d51) + 0x52dce729;
    two = (two << 13) | (two >>> 19);
  }
  return (stirred(one) >>> 6) * 2 ** 26 + (stirred(two ^ one) >>> 6);
}

function stirred(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
