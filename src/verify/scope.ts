/**
 * Which of the cluster's keys a source answers for, and under which name: imports may have taken only
 * some keys, and may have put a prefix ahead of their names. What no source answers for is nobody's
 * business here, and no difference.
 */
import { chosen, keyAt, keysBuilder } from '../redis/frames.js';
import { nameFilter } from '../sources/glob.js';
import type { Selection } from '../sources/selection.js';
import type { Keys } from '../types.js';

export interface Scope {
  /** What a key of the source is called in the cluster. */
  readonly nameOf: (key: Buffer) => Buffer;
  /** What the source calls a key of the cluster; undefined: it is none of the source's. */
  readonly keyOf: (name: Buffer) => Buffer | undefined;
  /** It answers for all keys, by their own names. */
  readonly isAll: boolean;
  /** Only keys of these types, as TYPE names them, were wanted; none: all. */
  readonly types: readonly string[];
}

/** @param prefix what was put ahead of each name. */
export function createScope(
  { match, exclude, type: types }: Omit<Selection, 'minTtlMs'>,
  prefix: Buffer | undefined,
): Scope {
  const isWanted = nameFilter({ match, exclude });

  return {
    isAll: !prefix && match.length + exclude.length === 0,
    types,
    nameOf: (key) => (prefix ? Buffer.concat([prefix, key]) : key),
    keyOf(name) {
      const isPrefixed = !prefix || name.subarray(0, prefix.length).equals(prefix);
      if (!isPrefixed) return undefined;
      const key = prefix ? name.subarray(prefix.length) : name;
      return isWanted(key) ? key : undefined;
    },
  };
}

/** Those keys of the cluster that a source answers for, as it calls them, and where they stand. */
export function inScope(
  { keyOf, isAll }: Scope,
  keys: Keys,
  places: readonly number[],
): { readonly keys: Keys; readonly places: readonly number[] } {
  if (isAll) return { keys: chosen(keys, places), places };
  const builder = keysBuilder(places.length);
  const own: number[] = [];
  for (const place of places) {
    const key = keyOf(keyAt(keys, place));
    if (!key) continue;
    builder.addKey(key);
    own.push(place);
  }
  return { keys: builder.take(), places: own };
}
