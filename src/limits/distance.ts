/**
 * How much must be under way so that nobody waits for a round trip: next to nothing between
 * neighbours, thousands of keys across a continent. Values are bounded in bytes all the same.
 */

/** What the fastest source hands out in a millisecond. */
const keysPerMs = 300;
/** Short pages: what was just listed is still in the source's cache when its value is asked for. */
const near = { pageKeys: 250, inflightKeys: 4096, askedKeys: 2048, removedKeys: 2048 };
const far = { pageKeys: 16_000, inflightKeys: 65_536, askedKeys: 32_768, removedKeys: 16_384 };

export interface Distance {
  /** Round trips as measured; of each server the shortest one counts. */
  noteSource(roundTripMs: number): void;
  noteNode(address: string, roundTripMs: number): void;
  /** To the source; 0 while it was not measured. */
  readonly sourceMs: number;
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
  // What is measured again while a run is busy is how busy it is, and not how far the way.
  let sourceMs: number | undefined;
  let nodeMs = 0;
  const nodes = new Map<string, number>();
  const within = (least: number, most: number, ms: number): number =>
    Math.min(most, Math.round(least + ms * keysPerMs));

  return {
    noteSource(roundTripMs) {
      sourceMs = Math.min(roundTripMs, sourceMs ?? Infinity);
    },
    noteNode(address, roundTripMs) {
      nodes.set(address, Math.min(roundTripMs, nodes.get(address) ?? Infinity));
      nodeMs = Math.max(...nodes.values());
    },
    get sourceMs() {
      return sourceMs ?? 0;
    },
    pageKeys: () => within(near.pageKeys, far.pageKeys, sourceMs ?? 0),
    // Values are read, stored and deleted: a round trip each, and one more for replicas.
    inflightKeys: () =>
      within(near.inflightKeys, far.inflightKeys, 2 * (sourceMs ?? 0) + 2 * nodeMs),
    askedKeys: () => within(near.askedKeys, far.askedKeys, sourceMs ?? 0),
    removedKeys: () => within(near.removedKeys, far.removedKeys, sourceMs ?? 0),
  };
}
