/**
 * Which keys the run has met before: those that it has listed, and those that it leaves at the source.
 * Both answer for every key that is listed, so both are hashes in memory that has a bound.
 */
import { keyStart } from '../redis/frames.js';
import type { Keys } from '../types.js';

const blockWords = 16;
const blockBits = blockWords * 32;
const leastBlocks = 1 << 16;
const mostBlocks = 1 << 22;
const usualPageKeys = 1024;

/** Bits in all for each key, and how many of them are set by it. */
interface Density {
  readonly bitsPerKey: number;
  readonly probes: number;
}

/** `usual`: in the end, some keys in a thousand are taken for others. */
const densities = {
  usual: { bitsPerKey: 12, probes: 5 },
  sparse: { bitsPerKey: 40, probes: 10 },
} as const satisfies Record<string, Density>;

/**
 * What the run has listed so far, in bounded memory: a Bloom filter. Whether a key was listed
 * before decides only who is looked at twice (SCAN lists keys twice, and writers bring moved keys
 * back), so a wrong yes, some in a thousand at ten million keys, costs one comparison.
 *
 * But where the cluster has keys of its own, which are to be replaced, a key that is taken for one
 * listed before is not replaced and stays behind. There, a record is sparser: a wrong yes in ten
 * million keys.
 *
 * All bits of a key lie in one block of 64 bytes: one cache line, one miss (F. Putze, P. Sanders,
 * J. Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007).
 */
export interface ListingRecord {
  /** Whether the key `bytes[start .. end)` was (probably) noted before; notes it. */
  noted(bytes: Buffer, start: number, end: number): boolean;
  /** Whether it was (probably) noted before. */
  has(bytes: Buffer, start: number, end: number): boolean;
  /**
   * Makes the keys of a page ready for `notedAt`. Each of them is looked up in another place of memory: here the
   * processor fetches many of these at a time, where one key after the other would wait for each.
   */
  fetch(names: Keys): void;
  /** Whether the key at this place of the page that was fetched last was (probably) noted before; notes it. */
  notedAt(place: number): boolean;
  /** All of it, for keeping: bits are only ever set. */
  readonly bytes: Uint8Array;
  /** Notes what another record has noted, whatever its size. */
  recall(bytes: Uint8Array): void;
}

/**
 * @param keyCount how many keys are expected: 4 MB for up to 2.8 million of them, 128 MB for 89 million,
 *   and never more than 256 MB. Memory that is not written to is not taken. A sparse one takes three
 *   times as much, and only another sparse one can be recalled into it.
 */
export function listingRecord(
  keyCount: number,
  density: keyof typeof densities = 'usual',
): ListingRecord {
  const { bitsPerKey, probes } = densities[density];
  const blocks = blocksFor(keyCount * bitsPerKey);
  // Signed, so that every word is a small integer to the compiler.
  const words = new Int32Array(blocks * blockWords);
  const blockMask = blocks - 1;
  const bytes = new Uint8Array(words.buffer);
  /** Two hashes of a key that is asked for by itself, and behind it those of the page that was fetched last. */
  let ones = new Int32Array(usualPageKeys);
  let twos = new Int32Array(usualPageKeys);

  function hash(bytes: Buffer, start: number, end: number, into: number): void {
    let one = 0x811c9dc5;
    let two = end - start;
    let at = start;
    // Four bytes at a time: this is done for every key.
    for (; at + 4 <= end; at += 4) {
      const four =
        (bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24);
      one = Math.imul(one ^ four, 0xcc9e2d51);
      one ^= one >>> 15;
      two = Math.imul((two << 13) ^ (two >>> 19) ^ four, 0x1b873593);
    }
    for (; at < end; at++) {
      const byte = bytes[at] as number;
      one = Math.imul(one ^ byte, 0x01000193);
      two = Math.imul((two + byte) | 0, 0x9e3779b1) ^ (two >>> 15);
    }
    // Stirred once more (murmur3's finaliser), so that all bits depend on all bytes.
    one = Math.imul(one ^ (one >>> 16), 0x85ebca6b);
    one ^= one >>> 13;
    two = Math.imul(two ^ (two >>> 16), 0xc2b2ae35);
    two ^= two >>> 16;
    ones[into] = one;
    twos[into] = two;
  }

  /** @param at of the key's hashes. */
  function look(at: number, notes: boolean): boolean {
    const one = ones[at] as number;
    const two = twos[at] as number;
    const base = (one & blockMask) * blockWords;
    let known = 1;
    // Five bits: each in a word of its own choosing, four bits of `two` for the word and five of
    // a rotated mix for the bit.
    let mix = two;
    for (let probe = 0; probe < probes; probe++) {
      const place = base + (mix & 15);
      const bit = 1 << ((mix >>> 4) & 31);
      const word = words[place] as number;
      if ((word & bit) === 0) {
        if (!notes) return false;
        known = 0;
        words[place] = word | bit;
      }
      mix = (mix >>> 9) | (mix << 23);
      mix ^= Math.imul(one, probe + 1);
    }
    return known === 1;
  }

  return {
    bytes,
    recall(known) {
      // A block's number is the low bits of one hash, so records of other sizes fold onto each other.
      for (let at = 0; at < Math.max(known.length, bytes.length); at++) {
        const place = at % bytes.length;
        bytes[place] = (bytes[place] as number) | (known[at % known.length] as number);
      }
    },
    noted(key, start, end) {
      hash(key, start, end, 0);
      return look(0, true);
    },
    has(key, start, end) {
      hash(key, start, end, 0);
      return look(0, false);
    },
    fetch({ bytes, starts, count }) {
      if (count >= ones.length) {
        ones = new Int32Array(2 * count);
        twos = new Int32Array(2 * count);
      }
      let touched = 0;
      for (let place = 0; place < count; place++) {
        const start = keyStart(bytes, starts[place] as number);
        hash(bytes, start, (starts[place + 1] as number) - 2, place + 1);
        touched ^= words[((ones[place + 1] as number) & blockMask) * blockWords] as number;
      }
      // Kept, or the compiler leaves out what was read only to be near by.
      ones[0] = touched;
    },
    notedAt: (place) => look(place + 1, true),
  };
}

function blocksFor(bits: number): number {
  const needed = 2 ** Math.ceil(Math.log2(Math.max(1, bits / blockBits)));
  return Math.min(mostBlocks, Math.max(leastBlocks, needed));
}

/** Of unmoved keys. */
const defaultLimits = { exact: 100_000, hashed: 4_000_000 };

/**
 * Keys that are accounted for and still at the source: conflicts and failures. Later passes leave
 * them out, so that nothing is counted twice.
 *
 * The first ones are kept as they are, the others as hashes of 52 bits: among four million of those
 * one key in a billion is taken for another.
 */
export interface UnmovedKeys {
  add(key: Buffer): void;
  readonly has: (bytes: Buffer, start: number, end: number) => boolean;
  readonly any: boolean;
  /** More than can be kept: no further pass can tell them from new ones. */
  readonly isFull: boolean;
}

/** @param limits how many are kept as they are, and how many others as hashes. */
export function unmovedKeys(limits = defaultLimits): UnmovedKeys {
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
