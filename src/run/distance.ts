/**
 * How much must be under way so that nobody waits for a round trip: next to nothing between
 * neighbours, thousands of keys across a continent. Values are bounded in bytes all the same.
 */

/** What the fastest source hands out in a millisecond. */
const keysPerMs = 300;
const near = { pageKeys: 1000, inflightKeys: 4096, askedKeys: 2048, removedKeys: 2048 };
const far = { pageKeys: 16_000, inflightKeys: 65_536, askedKeys: 32_768, removedKeys: 16_384 };

export interface Distance {
  /** Round trips as measured; the last ones count. */
  noteSource(roundTripMs: number): void;
  noteNode(roundTripMs: number): void;
  /** How many keys one SCAN should bring: the next is asked for only then. */
  pageKeys(): number;
  /** How many keys may be on their way to one node, from SCAN to delete. */
  inflightKeys(): number;
  /** How many values the source may be asked for ahead. */
  askedKeys(): number;
  /** How many keys one script deletes at most: the next one is sent only when it has answered. */
  removedKeys(): number;
}

export function createDistance(): Distance {
  let sourceMs = 0;
  let nodeMs = 0;
  const within = (least: number, most: number, ms: number): number =>
    Math.min(most, Math.round(least + ms * keysPerMs));

  return {
    noteSource: (roundTripMs) => (sourceMs = roundTripMs),
    noteNode: (roundTripMs) => (nodeMs = roundTripMs),
    pageKeys: () => within(near.pageKeys, far.pageKeys, sourceMs),
    // Values are read, stored and deleted: a round trip each, and one more for replicas.
    inflightKeys: () => within(near.inflightKeys, far.inflightKeys, 2 * sourceMs + 2 * nodeMs),
    askedKeys: () => within(near.askedKeys, far.askedKeys, sourceMs),
    removedKeys: () => within(near.removedKeys, far.removedKeys, sourceMs),
  };
}
