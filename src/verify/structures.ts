/**
 * What are no strings: compared by payload, and where payloads differ, by what they hold. Servers of
 * different versions, or with different limits, keep equal values in different ways; where that has
 * been seen to be so for most of them, payloads are not asked for any more.
 */
import { chosen, namesOf } from '../redis/keys.js';
import type { Keys } from '../types.js';
import { type Budget, bytesOf, inParts } from './budget.js';
import type { Doubts, Ends } from './doubts.js';
import { contentsApart, isComparable } from './elements.js';
import { askTypes, askValues } from './questions.js';
import { isSame, isThere } from './values.js';

export interface Structures {
  /**
   * @param places which of the keys.
   * @param bytes how large the value at each place is.
   */
  apart(ends: Ends, keys: Keys, places: readonly number[], bytes: Float64Array): Promise<Doubts>;
}

export interface StructuresOptions {
  readonly budget: Budget;
  /** Whether a hash's fields may have deadlines. */
  readonly fieldDeadlines: boolean;
}

/** What one question may bring: a payload is compressed, which takes a server much longer than a copy. */
const partBytes = 256 * 1024;

/** So many are looked at before payloads are judged. */
const judgedAfter = 200;

export function createStructures({ budget, fieldDeadlines }: StructuresOptions): Structures {
  let seen = 0;
  let equalInVain = 0;

  return {
    async apart(ends, keys, places, bytes) {
      const small: number[] = [];
      const large: number[] = [];
      const wanted = new Set(places);
      const parts = inParts(bytes, partBytes, (place) => {
        if (!wanted.has(place)) return false;
        const isLarge = (bytes[place] as number) > partBytes;
        if (isLarge) large.push(place);
        return !isLarge;
      });
      await Promise.all(
        parts.map(async (part) => {
          const apart = await budget.spend(bytesOf(part, bytes), () => look(ends, keys, part));
          small.push(...apart);
        }),
      );
      return { small, large };
    },
  };

  async function look(ends: Ends, keys: Keys, part: readonly number[]): Promise<readonly number[]> {
    if (seen > judgedAfter && equalInVain > seen / 4) return byTypeFirst(ends, keys, part);
    const { there, doubts } = await payloadsApart(ends, keys, part);
    seen += part.length;
    if (there.length === 0) return doubts;
    const types = await askTypes(ends.source, chosen(keys, there));
    const apart = await contents(ends, keys, there, types);
    equalInVain += there.length - apart.length;
    return [...doubts, ...apart];
  }

  async function byTypeFirst(
    ends: Ends,
    keys: Keys,
    part: readonly number[],
  ): Promise<readonly number[]> {
    const types = await askTypes(ends.source, chosen(keys, part));
    const opaque = part.filter((_, at) => !isComparable(types[at]));
    const [apart, { there, doubts }] = await Promise.all([
      contents(
        ends,
        keys,
        part.filter((_, at) => isComparable(types[at])),
        types.filter(isComparable),
      ),
      payloadsApart(ends, keys, opaque),
    ]);
    return [...apart, ...there, ...doubts];
  }

  async function contents(
    ends: Ends,
    keys: Keys,
    places: readonly number[],
    types: readonly string[],
  ): Promise<readonly number[]> {
    const apart = await contentsApart(ends, chosen(keys, places), types, fieldDeadlines);
    return apart.map((at) => places[at] as number);
  }
}

/** Those whose payloads differ, by whether both sides have one. */
async function payloadsApart(
  { source, node }: Ends,
  keys: Keys,
  places: readonly number[],
): Promise<{ there: number[]; doubts: number[] }> {
  const found = { there: [] as number[], doubts: [] as number[] };
  if (places.length === 0) return found;
  const some = chosen(keys, places);
  const [ours, theirs] = await Promise.all([
    askValues(source, 'DUMP', some),
    askValues(node, 'DUMP', namesOf(some)),
  ]);
  for (const [at, place] of places.entries()) {
    if (isSame(ours, at, theirs, at)) continue;
    const areThere = isThere(ours, at) && isThere(theirs, at);
    (areThere ? found.there : found.doubts).push(place);
  }
  return found;
}
