/**
 * The first pass over many keys: which of them need a closer look (value.ts), found out with as few
 * words as can be. Equal bytes are equal; whatever is not is suspect, and no more than that, because
 * equal values may have unequal payloads, and answers cross with writes.
 *
 * Sizes are asked for first, so that no question brings more than a server gives without its clients
 * noticing: small values are asked for many at a time, large ones are left to the closer look, which
 * goes by slices. Strings are compared by value, everything else by payload, and where payloads differ,
 * by what they hold: servers of different versions, or with different limits, keep equal values in
 * different ways. Where that has been seen to be so for most, payloads are not asked for any more.
 */
import { deadlineToleranceMs } from '../redis/deadline.js';
import { chosen, namesOf } from '../redis/keys.js';
import { createSizes } from '../redis/sizes.js';
import type { Keys } from '../types.js';
import { type Budget, bytesOf, createBudget, inParts } from './budget.js';
import { areSame, isSame, isThere } from './held-values.js';
import { askNumbers, askTogether, askTypes, askValues, type Ends } from './ask-many.js';
import { contentsApart, isComparable } from './small.js';

export interface FirstPassOptions {
  /** The source has MEMORY USAGE. */
  readonly memoryUsage: boolean;
}

interface SuspectOptions {
  /** Whether either side may have keys that expire. */
  readonly expires?: boolean;
  /** How far deadlines may be apart. */
  readonly toleranceMs?: number;
  /** Types and deadlines only. */
  readonly typesOnly?: boolean;
}

/** Places of keys that must be looked at one by one. */
interface Suspects {
  readonly small: readonly number[];
  /** Few of these at a time: their slices are large. */
  readonly large: readonly number[];
}

/** Of one source, whatever it is compared with. */
export interface FirstPass {
  /** What the source may be asked for at one time. */
  readonly budget: Budget;
  /**
   * @param keys by the source's names, with `names` where the node has other ones.
   * @throws ConnectionError when a side is lost.
   */
  suspects(ends: Ends, keys: Keys, options?: SuspectOptions): Promise<Suspects>;
}

/** What a source may be asked for at one time. */
const askedBytes = 4 * 1024 * 1024;
/** What one question for strings may bring. */
const stringsBytes = 1024 * 1024;
/** A larger string is read in slices. */
const sliceAboveBytes = 1024 * 1024;
/** What one question for payloads may bring: to compress one takes a server longer than to copy it. */
const payloadsBytes = 256 * 1024;
/** So many values are looked at before payloads are judged. */
const judgedAfter = 200;

export function createFirstPass({ memoryUsage }: FirstPassOptions): FirstPass {
  const budget = createBudget(askedBytes);
  const sizes = createSizes({ limitBytes: () => askedBytes, ofStrings: true, memoryUsage });
  /** How many values that are no strings were seen, and how many were equal with unequal payloads. */
  let seen = 0;
  let equalInVain = 0;

  async function valuesApart(ends: Ends, keys: Keys): Promise<Suspects> {
    const bytes = await sizes.of(ends.source, keys);
    const small: number[] = placesOf(keys.count, (place) => bytes[place] === 0);
    const large: number[] = [];
    const parts = inParts(bytes, stringsBytes, (place) => {
      const isLarge = (bytes[place] as number) > sliceAboveBytes;
      if (isLarge) large.push(place);
      return !isLarge && bytes[place] !== 0;
    });
    await Promise.all(
      parts.map(async (part) => {
        const strings = await budget.spend(bytesOf(part, bytes), () =>
          stringsApart(ends, keys, part),
        );
        const others = await othersApart(ends, keys, strings.others, bytes);
        small.push(...strings.apart, ...others.small);
        large.push(...others.large);
      }),
    );
    return { small, large };
  }

  /**
   * @param places of what are no strings.
   * @param bytes how large the value at each place is.
   */
  async function othersApart(
    ends: Ends,
    keys: Keys,
    places: readonly number[],
    bytes: Float64Array,
  ): Promise<Suspects> {
    const small: number[] = [];
    const large: number[] = [];
    const wanted = new Set(places);
    const parts = inParts(bytes, payloadsBytes, (place) => {
      if (!wanted.has(place)) return false;
      const isLarge = (bytes[place] as number) > payloadsBytes;
      if (isLarge) large.push(place);
      return !isLarge;
    });
    await Promise.all(
      parts.map(async (part) => {
        const apart = await budget.spend(bytesOf(part, bytes), () => smallApart(ends, keys, part));
        small.push(...apart);
      }),
    );
    return { small, large };
  }

  async function smallApart(
    ends: Ends,
    keys: Keys,
    part: readonly number[],
  ): Promise<readonly number[]> {
    if (seen > judgedAfter && equalInVain > seen / 4) return byTypeFirst(ends, keys, part);
    const { unequal, absent } = await payloadsApart(ends, keys, part);
    seen += part.length;
    if (unequal.length === 0) return absent;
    const types = await askTypes(ends.source, chosen(keys, unequal));
    const apart = await contentsApartAt(ends, keys, unequal, types);
    equalInVain += unequal.length - apart.length;
    return [...absent, ...apart];
  }

  return {
    budget,
    async suspects(ends, keys, options = {}) {
      const { expires = true, toleranceMs = deadlineToleranceMs, typesOnly = false } = options;
      const [values, ttls] = await Promise.all([
        typesOnly ? typesApart(ends, keys) : valuesApart(ends, keys),
        expires ? deadlinesApart(ends, keys, toleranceMs) : [],
      ]);
      if (ttls.length === 0) return values;
      const isLarge = new Set(values.large);
      const small = [...values.small, ...ttls.filter((place) => !isLarge.has(place))];
      return { small: [...new Set(small)], large: values.large };
    },
  };
}

async function typesApart({ source, node }: Ends, keys: Keys): Promise<Suspects> {
  const [ours, theirs] = await Promise.all([askTypes(source, keys), askTypes(node, namesOf(keys))]);
  const small = placesOf(
    keys.count,
    (place) => ours[place] !== theirs[place] || ours[place] === 'none',
  );
  return { small, large: [] };
}

/** @returns strings that differ, and what are no strings at the source. */
async function stringsApart(
  { source, node }: Ends,
  keys: Keys,
  part: readonly number[],
): Promise<{ apart: number[]; others: number[] }> {
  const some = chosen(keys, part);
  const ours = await askTogether(source, some);
  const there = placesOf(part.length, (at) => isThere(ours, at));
  const others = ours.absentCount === 0 ? [] : part.filter((_, at) => !isThere(ours, at));
  if (there.length === 0) return { apart: [], others };
  const theirs = await askValues(node, 'GET', chosen(namesOf(some), there));
  if (areSame(ours, theirs)) return { apart: [], others };
  const apart = there.filter((at, other) => !isSame(ours, at, theirs, other));
  return { apart: apart.map((at) => part[at] as number), others };
}

async function byTypeFirst(
  ends: Ends,
  keys: Keys,
  part: readonly number[],
): Promise<readonly number[]> {
  const types = await askTypes(ends.source, chosen(keys, part));
  const opaque = part.filter((_, at) => !isComparable(types[at]));
  const [apart, { unequal, absent }] = await Promise.all([
    contentsApartAt(
      ends,
      keys,
      part.filter((_, at) => isComparable(types[at])),
      types.filter(isComparable),
    ),
    payloadsApart(ends, keys, opaque),
  ]);
  return [...apart, ...unequal, ...absent];
}

async function contentsApartAt(
  ends: Ends,
  keys: Keys,
  places: readonly number[],
  types: readonly string[],
): Promise<readonly number[]> {
  const apart = await contentsApart(ends, chosen(keys, places), types);
  return apart.map((at) => places[at] as number);
}

/** Those without the same payload, by whether both sides have one. */
async function payloadsApart(
  { source, node }: Ends,
  keys: Keys,
  places: readonly number[],
): Promise<{ unequal: number[]; absent: number[] }> {
  const found = { unequal: [] as number[], absent: [] as number[] };
  if (places.length === 0) return found;
  const some = chosen(keys, places);
  const [ours, theirs] = await Promise.all([
    askValues(source, 'DUMP', some),
    askValues(node, 'DUMP', namesOf(some)),
  ]);
  for (const [at, place] of places.entries()) {
    if (isSame(ours, at, theirs, at)) continue;
    const areThere = isThere(ours, at) && isThere(theirs, at);
    (areThere ? found.unequal : found.absent).push(place);
  }
  return found;
}

async function deadlinesApart(
  { source, node }: Ends,
  keys: Keys,
  toleranceMs: number,
): Promise<number[]> {
  const [ours, theirs] = await Promise.all([
    askNumbers(source, 'PTTL', keys),
    askNumbers(node, 'PTTL', namesOf(keys)),
  ]);
  return placesOf(keys.count, (place) => !isNear(ours[place] as number, theirs[place] as number));

  function isNear(one: number, other: number): boolean {
    if (one < 0 || other < 0) return one === other;
    // What a server refused is not a number, and near to nothing.
    return Math.abs(one - other) <= toleranceMs;
  }
}

function placesOf(count: number, isWanted: (place: number) => boolean): number[] {
  const found: number[] = [];
  for (let place = 0; place < count; place++) if (isWanted(place)) found.push(place);
  return found;
}
