/**
 * Which of many keys need a closer look, found out with as few words as can be: strings by their
 * value, everything else by its payload. Equal bytes are equal; whatever is not is in doubt, and no
 * more than that, because equal values may have unequal payloads, and answers cross with writes.
 *
 * Sizes are asked for first, so that no question brings more than a server gives without its clients
 * noticing: small values are asked for many at a time, large ones are left to the closer look, which
 * goes by slices.
 */
import type { Sizes } from '../movers/elements/sizes.js';
import { chosen, namesOf } from '../redis/keys.js';
import type { Keys } from '../types.js';
import { type Budget, bytesOf, inParts } from './budget.js';
import type { Doubts, Ends } from './doubts.js';
import { askNumbers, askTogether, askTypes, askValues } from './questions.js';
import type { Structures } from './structures.js';
import { areSame, isSame, isThere } from './values.js';

export interface BatchOptions {
  /** Whether either side has keys that expire. */
  readonly expires: boolean;
  /** How far deadlines may be apart. */
  readonly toleranceMs: number;
  /** Types and TTLs only. */
  readonly fast: boolean;
  readonly sizes: Sizes;
  readonly budget: Budget;
  readonly structures: Structures;
}

/** What one question for strings may bring. */
const stringsBytes = 1024 * 1024;
/** A larger string is read in slices. */
const sliceAboveBytes = 1024 * 1024;

export async function doubtful(ends: Ends, keys: Keys, options: BatchOptions): Promise<Doubts> {
  const [values, ttls] = await Promise.all([
    options.fast ? typesApart(ends, keys) : valuesApart(ends, keys, options),
    options.expires ? ttlsApart(ends, keys, options.toleranceMs) : [],
  ]);
  if (ttls.length === 0) return values;
  const isLarge = new Set(values.large);
  const small = [...values.small, ...ttls.filter((place) => !isLarge.has(place))];
  return { small: [...new Set(small)], large: values.large };
}

async function typesApart({ source, node }: Ends, keys: Keys): Promise<Doubts> {
  const [ours, theirs] = await Promise.all([askTypes(source, keys), askTypes(node, namesOf(keys))]);
  const small = placesOf(
    keys.count,
    (place) => ours[place] !== theirs[place] || ours[place] === 'none',
  );
  return { small, large: [] };
}

async function valuesApart(ends: Ends, keys: Keys, options: BatchOptions): Promise<Doubts> {
  const { sizes, budget, structures } = options;
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
      const { doubts, others } = await budget.spend(bytesOf(part, bytes), () =>
        stringsApart(ends, keys, part),
      );
      const apart = await structures.apart(ends, keys, others, bytes);
      small.push(...doubts, ...apart.small);
      large.push(...apart.large);
    }),
  );
  return { small, large };
}

/** @returns strings that differ, and what are no strings at the source. */
async function stringsApart(
  { source, node }: Ends,
  keys: Keys,
  part: readonly number[],
): Promise<{ doubts: number[]; others: number[] }> {
  const some = chosen(keys, part);
  const ours = await askTogether(source, some);
  const there = placesOf(part.length, (at) => isThere(ours, at));
  const others = ours.absentCount === 0 ? [] : part.filter((_, at) => !isThere(ours, at));
  if (there.length === 0) return { doubts: [], others };
  const theirs = await askValues(node, 'GET', chosen(namesOf(some), there));
  if (areSame(ours, theirs)) return { doubts: [], others };
  const apart = there.filter((at, other) => !isSame(ours, at, theirs, other));
  return { doubts: apart.map((at) => part[at] as number), others };
}

async function ttlsApart(
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
