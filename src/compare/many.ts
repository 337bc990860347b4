/**
 * The first pass over many keys: which of them need a closer look (value.ts), found out with as few
 * words as can be. Equal bytes are equal; whatever is not is suspect, and no more than that, because
 * equal values may have unequal payloads, and answers cross with writes.
 *
 * Sizes are asked for first, so that no question brings more than a server gives without its clients
 * noticing: small values are asked for many at a time, large ones are left to the closer look, which
 * goes by slices. Strings are compared by value, everything else by payload, and where payloads differ,
 * by what they hold: servers of different versions, or with different limits, keep equal values in
 * different ways. Where that has been seen to be so for most, payloads are not asked for any more. And
 * where few of the keys were strings, tiny values are compared by payload whatever they are.
 *
 * Deadlines come with the values, because to find a key costs a server more than to answer.
 */
import { deadlineToleranceMs } from './pair.js';
import { chosen, namesOf } from '../redis/frames.js';
import { createSizes } from '../redis/sizes.js';
import type { Keys } from '../types.js';
import { areSame, isSame, isThere } from './held-values.js';
import { askNumbers, askTogether, askTypes, askValues, type Ends } from './ask-many.js';
import { contentsApart } from './small.js';

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

/** What is compared at one time. */
interface Group extends Ends {
  readonly keys: Keys;
  /** How far deadlines may be apart; undefined: there are none. */
  readonly toleranceMs: number | undefined;
}

/** What a source may be asked for at one time. */
const askedBytes = 4 * 1024 * 1024;
/** What one question for strings may bring. */
const stringsBytes = 1024 * 1024;
/** A larger string is read in slices. */
const sliceAboveBytes = 1024 * 1024;
/** What one question for payloads may bring: to compress one takes a server longer than to copy it. */
const payloadsBytes = 256 * 1024;
/** What may be asked for as a payload before it is known whether it is a string. */
const tinyBytes = 16 * 1024;
/** A string as a payload costs as much more as these bytes take to compress, and its own. */
const stringCostBytes = 100;
/** Up to this for a key it is worth it: one question fewer is asked about each. */
const worthBytes = 32;
/** So many values are looked at before payloads are judged, or the share of strings. */
const judgedAfter = 200;
/** One in so many times strings are asked for first all the same, to see whether it is still so. */
const stringsAskedEvery = 16;

export function createFirstPass({ memoryUsage }: FirstPassOptions): FirstPass {
  const budget = createBudget(askedBytes);
  const sizes = createSizes({ limitBytes: () => askedBytes, ofStrings: true, memoryUsage });
  /** How many values that are no strings were seen, and how many were equal with unequal payloads. */
  let seen = 0;
  let equalInVain = 0;
  /** Of what types those were. */
  const vainTypes = new Map<string, number>();
  /** How many keys were asked for as strings, and what those that were would cost as payloads. */
  let asked = 0;
  let costBytes = 0;
  let turns = 0;

  /** Whether tiny values are asked for as payloads at once. */
  function areStringsFew(): boolean {
    if (asked < judgedAfter || costBytes > asked * worthBytes) return false;
    return ++turns % stringsAskedEvery !== 0;
  }

  async function valuesApart(group: Group): Promise<Suspects> {
    const { keys, source } = group;
    const bytes = await sizes.of(source, keys);
    const found = { small: [] as number[], large: [] as number[] };
    const tiny: number[] = [];
    const others: number[] = [];
    const isTrial = !areStringsFew();
    for (let place = 0; place < keys.count; place++) {
      const size = bytes[place] as number;
      if (size === 0) found.small.push(place);
      else if (size > sliceAboveBytes) found.large.push(place);
      else (isTrial || size > tinyBytes ? others : tiny).push(place);
    }
    await Promise.all([
      payloadsFirst(group, tiny, bytes, found),
      ...inParts(others, bytes, stringsBytes).map(async (part) => {
        const { apart, rest, stringBytes } = await budget.spend(bytesOf(part, bytes), () =>
          stringsApart(group, part),
        );
        if (isTrial) {
          // What was seen lately counts for more.
          if (asked > 16 * judgedAfter) [asked, costBytes] = [asked / 2, costBytes / 2];
          asked += part.length;
          costBytes += stringBytes + (part.length - rest.length) * stringCostBytes;
        }
        found.small.push(...apart);
        const isLarge = (place: number): boolean => (bytes[place] as number) > payloadsBytes;
        found.large.push(...rest.filter(isLarge));
        const small = rest.filter((place) => !isLarge(place));
        await payloadsFirst(group, small, bytes, found);
      }),
    ]);
    return found;
  }

  /** @param bytes how large the value at each place is. */
  async function payloadsFirst(
    group: Group,
    places: readonly number[],
    bytes: Float64Array,
    found: { readonly small: number[] },
  ): Promise<void> {
    await Promise.all(
      inParts(places, bytes, payloadsBytes).map(async (part) => {
        const apart = await budget.spend(bytesOf(part, bytes), () => smallApart(group, part));
        found.small.push(...apart);
      }),
    );
  }

  async function smallApart(group: Group, part: readonly number[]): Promise<readonly number[]> {
    const { keys, source } = group;
    let byPayload = part;
    let byContents: readonly number[] = [];
    let types: readonly string[] = [];
    if (seen > judgedAfter && equalInVain > seen / 4) {
      const all = await askTypes(source, chosen(keys, part));
      byPayload = part.filter((_, at) => !isVain(all[at] ?? ''));
      byContents = part.filter((_, at) => isVain(all[at] ?? ''));
      types = all.filter(isVain);
    } else seen += part.length;
    const some = { ...group, keys: chosen(keys, byContents) };
    const [contents, late, { apart, unequal }] = await Promise.all([
      contentsApart(some, some.keys, types),
      deadlinesApart(some),
      payloadsApart(group, byPayload),
    ]);
    const unlike = await unlikeApart(group, unequal);
    return [...[...contents, ...late].map((at) => byContents[at] as number), ...apart, ...unlike];
  }

  /** Whether payloads of this type are mostly unequal, though what they hold is the same. */
  function isVain(type: string): boolean {
    return (vainTypes.get(type) ?? 0) > equalInVain / 16;
  }

  /** @param places of values with unequal payloads. */
  async function unlikeApart(group: Group, places: readonly number[]): Promise<readonly number[]> {
    if (places.length === 0) return [];
    const some = chosen(group.keys, places);
    const types = await askTypes(group.source, some);
    const apart = new Set(await contentsApart(group, some, types));
    for (const [at, type] of types.entries()) {
      if (apart.has(at)) continue;
      equalInVain++;
      vainTypes.set(type, (vainTypes.get(type) ?? 0) + 1);
    }
    return [...apart].map((at) => places[at] as number);
  }

  return {
    budget,
    async suspects(ends, keys, options = {}) {
      const { expires = true, toleranceMs = deadlineToleranceMs, typesOnly = false } = options;
      const group = { ...ends, keys, toleranceMs: expires ? toleranceMs : undefined };
      const { small, large } = typesOnly ? await typesApart(group) : await valuesApart(group);
      // Some differ in more than one way.
      return { small: small.length === 0 ? small : [...new Set(small)], large };
    },
  };
}

async function typesApart(group: Group): Promise<Suspects> {
  const { source, node, keys } = group;
  const [ours, theirs, late] = await Promise.all([
    askTypes(source, keys),
    askTypes(node, namesOf(keys)),
    deadlinesApart(group),
  ]);
  const apart = placesOf(
    keys.count,
    (place) => ours[place] !== theirs[place] || ours[place] === 'none',
  );
  return { small: [...apart, ...late], large: [] };
}

interface Strings {
  readonly apart: readonly number[];
  /** What are no strings at the source. */
  readonly rest: readonly number[];
  /** What the strings there come to. */
  readonly stringBytes: number;
}

async function stringsApart(
  { source, node, keys, toleranceMs }: Group,
  part: readonly number[],
): Promise<Strings> {
  const some = chosen(keys, part);
  const ours = await askTogether(source, some);
  const there = placesOf(part.length, (at) => isThere(ours, at));
  const rest = ours.absentCount === 0 ? [] : part.filter((_, at) => !isThere(ours, at));
  if (there.length === 0) return { apart: [], rest, stringBytes: 0 };
  const strings = chosen(some, there);
  const isDated = toleranceMs !== undefined;
  const [ttls, theirs] = await Promise.all([
    isDated ? askNumbers(source, 'PTTL', strings) : undefined,
    askValues(node, 'GET', namesOf(strings), isDated),
  ]);
  const late = datesApart(ttls, theirs.ttls, toleranceMs);
  const unequal = areSame(ours, theirs.values)
    ? []
    : placesOf(there.length, (at) => !isSame(ours, there[at] as number, theirs.values, at));
  const apart = [...unequal, ...late].map((at) => part[there[at] as number] as number);
  return { apart, rest, stringBytes: bytesOf(there, ours.lengths) };
}

/**
 * Those without the same payload on both sides: `unequal` where both have one that can be had, and the
 * deadline is the same.
 */
async function payloadsApart(
  { source, node, keys, toleranceMs }: Group,
  places: readonly number[],
): Promise<{ readonly apart: readonly number[]; readonly unequal: readonly number[] }> {
  if (places.length === 0) return { apart: [], unequal: [] };
  const some = chosen(keys, places);
  const isDated = toleranceMs !== undefined;
  const [ours, theirs] = await Promise.all([
    askValues(source, 'DUMP', some, isDated),
    askValues(node, 'DUMP', namesOf(some), isDated),
  ]);
  const apart = datesApart(ours.ttls, theirs.ttls, toleranceMs).map((at) => places[at] as number);
  const [one, other] = [ours.values, theirs.values];
  if (areSame(one, other)) return { apart, unequal: [] };
  const late = new Set(apart);
  const unequal: number[] = [];
  for (let at = 0; at < places.length; at++) {
    const place = places[at] as number;
    if (late.has(place) || isSame(one, at, other, at)) continue;
    (isThere(one, at) && isThere(other, at) ? unequal : apart).push(place);
  }
  return { apart, unequal };
}

async function deadlinesApart({
  source,
  node,
  keys,
  toleranceMs,
}: Group): Promise<readonly number[]> {
  if (toleranceMs === undefined) return [];
  const [ours, theirs] = await Promise.all([
    askNumbers(source, 'PTTL', keys),
    askNumbers(node, 'PTTL', namesOf(keys)),
  ]);
  return datesApart(ours, theirs, toleranceMs);
}

/** @returns places of deadlines that are further apart than they may be. */
function datesApart(
  ours: Float64Array | undefined,
  theirs: Float64Array | undefined,
  toleranceMs: number | undefined,
): number[] {
  if (!ours || !theirs || toleranceMs === undefined) return [];
  return placesOf(ours.length, (place) => {
    const [one, other] = [ours[place] as number, theirs[place] as number];
    if (one < 0 || other < 0) return one !== other;
    // What a server refused is not a number, and near to nothing.
    return !(Math.abs(one - other) <= toleranceMs);
  });
}

function placesOf(count: number, isWanted: (place: number) => boolean): number[] {
  const found: number[] = [];
  for (let place = 0; place < count; place++) if (isWanted(place)) found.push(place);
  return found;
}

/**
 * How many bytes a server may be asked for at one time. What it answers waits in its memory until we
 * have read it, and while it puts answers together its clients wait.
 */
interface Budget {
  /** Does something that brings so many bytes, as soon as there is room for them. */
  spend<T>(bytes: number, work: () => Promise<T>): Promise<T>;
}

function createBudget(limitBytes: number): Budget {
  let spent = 0;
  const waiting: { bytes: number; go: () => void }[] = [];

  function admit(): void {
    for (let next = waiting[0]; next; next = waiting[0]) {
      // What is larger than all of it has its turn alone.
      if (spent > 0 && spent + next.bytes > limitBytes) return;
      waiting.shift();
      spent += next.bytes;
      next.go();
    }
  }

  return {
    async spend(bytes, work) {
      await new Promise<void>((go) => {
        waiting.push({ bytes, go });
        admit();
      });
      try {
        return await work();
      } finally {
        spent -= bytes;
        admit();
      }
    },
  };
}

/** These places in parts, none of which has more bytes than the limit. */
function inParts(
  places: readonly number[],
  bytes: Float64Array,
  limitBytes: number,
): readonly (readonly number[])[] {
  if (bytesOf(places, bytes) <= limitBytes) return places.length === 0 ? [] : [places];
  const parts: number[][] = [];
  let filled = Infinity;
  for (const place of places) {
    const more = bytes[place] as number;
    if (filled + more > limitBytes) {
      parts.push([]);
      filled = 0;
    }
    parts.at(-1)?.push(place);
    filled += more;
  }
  return parts;
}

/** What the values at these places come to. */
function bytesOf(places: readonly number[], bytes: Float64Array): number {
  let sum = 0;
  for (const place of places) sum += bytes[place] as number;
  return sum;
}
