/**
 * Which of many keys need a closer look, found out with as few words as can be: strings by their
 * value, everything else by its payload. Equal bytes are equal; whatever is not is in doubt, and no
 * more than that, because equal values may have unequal payloads, and answers cross with writes.
 */
import type { Sizes } from '../movers/elements/sizes.js';
import type { Connection } from '../redis/connection.js';
import { chosen } from '../redis/keys.js';
import type { Keys } from '../types.js';
import { askNumbers, askTogether, askTypes, askValues } from './questions.js';
import { isNoString, isSame, isThere } from './values.js';

export interface BatchOptions {
  /** Whether either side has keys that expire. */
  readonly expires: boolean;
  /** How far deadlines may be apart. */
  readonly toleranceMs: number;
  /** Types and TTLs only. */
  readonly fast: boolean;
  /** Finds values that are too large for one answer. */
  readonly sizes: Sizes;
}

export interface Ends {
  readonly source: Connection;
  readonly node: Connection;
}

/** @returns places of keys that must be looked at one by one. */
export async function doubtful(
  { source, node }: Ends,
  keys: Keys,
  options: BatchOptions,
): Promise<readonly number[]> {
  const [values, ttls] = await Promise.all([
    options.fast ? typesApart(source, node, keys) : valuesApart(source, node, keys, options.sizes),
    options.expires ? ttlsApart(source, node, keys, options.toleranceMs) : [],
  ]);
  return ttls.length === 0 ? values : [...new Set([...values, ...ttls])];
}

async function typesApart(source: Connection, node: Connection, keys: Keys): Promise<number[]> {
  const [ours, theirs] = await Promise.all([askTypes(source, keys), askTypes(node, keys)]);
  return places(keys, (place) => ours[place] !== theirs[place] || ours[place] === 'none');
}

async function valuesApart(
  source: Connection,
  node: Connection,
  keys: Keys,
  sizes: Sizes,
): Promise<number[]> {
  const [ours, theirs] = await Promise.all([
    askTogether(source, keys),
    askValues(node, 'GET', keys),
  ]);
  const doubts: number[] = [];
  const structures: number[] = [];
  for (let place = 0; place < keys.count; place++) {
    if (isSame(ours, theirs, place)) continue;
    const both = isNoString(ours, place) && isNoString(theirs, place) && !isThere(theirs, place);
    (both ? structures : doubts).push(place);
  }
  if (structures.length === 0) return doubts;
  const apart = await payloadsApart(source, node, chosen(keys, structures), sizes);
  return [...doubts, ...apart.map((at) => structures[at] as number)];
}

async function payloadsApart(
  source: Connection,
  node: Connection,
  keys: Keys,
  sizes: Sizes,
): Promise<readonly number[]> {
  const large = await sizes.beyond(source, keys);
  const tooLarge = new Set(large);
  const small = places(keys, (place) => !tooLarge.has(place));
  if (small.length === 0) return large;
  const some = chosen(keys, small);
  const [ours, theirs] = await Promise.all([
    askValues(source, 'DUMP', some),
    askValues(node, 'DUMP', some),
  ]);
  const apart = places(some, (place) => !isSame(ours, theirs, place));
  return [...large, ...apart.map((at) => small[at] as number)];
}

async function ttlsApart(
  source: Connection,
  node: Connection,
  keys: Keys,
  toleranceMs: number,
): Promise<number[]> {
  const [ours, theirs] = await Promise.all([
    askNumbers(source, 'PTTL', keys),
    askNumbers(node, 'PTTL', keys),
  ]);
  return places(keys, (place) => !isNear(ours[place] as number, theirs[place] as number));

  function isNear(one: number, other: number): boolean {
    if (one < 0 || other < 0) return one === other;
    // What a server refused is not a number, and near to nothing.
    return Math.abs(one - other) <= toleranceMs;
  }
}

function places(keys: Keys, isWanted: (place: number) => boolean): number[] {
  const found: number[] = [];
  for (let place = 0; place < keys.count; place++) if (isWanted(place)) found.push(place);
  return found;
}
