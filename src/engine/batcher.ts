/**
 * Sorts keys into batches by the node that owns their slot.
 * Batches are bounded by count and by bytes, of keys and of values that a source brings along; other
 * values are bounded where they are read.
 */
import {
  chosen,
  keysBuilder,
  type KeysBuilder,
  keyStart,
  named,
  namesOf,
  slotAt,
  slotOf,
} from '../redis/frames.js';
import type { Batch, Copy, Keys, Listing, Page, Topology } from '../types.js';
import type { ListingRecord } from './seen-keys.js';

export interface BatcherOptions {
  readonly topology: Topology;
  batchKeys(): number;
  /** Of keys, frames included. */
  readonly batchBytes: number;
  readonly record: ListingRecord;
  /** Keys that earlier runs of the job have moved, or were about to when they were killed. */
  readonly movedEarlier?: ListingRecord | undefined;
  /** What is known of the copies of keys that were just listed. */
  readonly copyWhenListed: (listing: Listing) => Copy;
  /** Keys of a node that is not to be served now are left where they are: a later pass finds them. */
  isServed(nodeIndex: number): boolean;
  /** Whether there are any of the following. */
  anyUnmoved(): boolean;
  /** Whether the key `bytes[start .. end)` is known not to move, and accounted for already. */
  isUnmoved(bytes: Buffer, start: number, end: number): boolean;
}

export interface Batcher {
  /** Sorts a page in. @returns the batches that are full by it. */
  add(page: Page): Batch[];
  /** What is left of keys that were not listed before, as smaller batches. */
  flushFresh(): Batch[];
  /** What is left, as smaller batches. */
  flush(): Batch[];
  /** Whether keys were left at the source for a later pass since the last taking. */
  readonly hasDeferred: boolean;
  /** Keys that went into batches since the last call. */
  takeHandedOnCount(): number;
  /** Keys left at the source for a later pass since the last call. */
  takeDeferredCount(): number;
}

const listings: readonly Listing[] = ['first', 'moved-earlier', 'again'];

/** The keys that are on their way into a batch, and their names in the cluster if they get others. */
interface Collecting {
  readonly keys: KeysBuilder;
  names?: KeysBuilder;
  values?: KeysBuilder;
}

export function batcher(options: BatcherOptions): Batcher {
  const { topology, record, movedEarlier } = options;
  const collections: Readonly<Record<Listing, Collecting[]>> = {
    first: [],
    'moved-earlier': [],
    again: [],
  };
  const { first, again, 'moved-earlier': movedBefore } = collections;
  let deferred = 0;
  let handedOn = 0;

  function collecting(into: Collecting[], nodeIndex: number, batchKeys: number): Collecting {
    return (into[nodeIndex] ??= { keys: keysBuilder(batchKeys) });
  }

  function batchOf(from: Collecting, nodeIndex: number, listing: Listing): Batch {
    const node = topology.nodes[nodeIndex];
    if (!node) throw new Error(`no node has the index ${String(nodeIndex)}`);
    const keys = named(from.keys.take(), from.names?.take());
    const taken = from.values ? { ...keys, values: from.values.take() } : keys;
    const copy = options.copyWhenListed(listing);
    return {
      node,
      keys: taken,
      listedBefore: listing === 'again',
      copy,
      attempt: 0,
      changes: 0,
      asking: false,
    };
  }

  function restOf(...wanted: Listing[]): Batch[] {
    const rest: Batch[] = [];
    for (const listing of wanted) {
      collections[listing].forEach((one, nodeIndex) => {
        if (one.keys.count > 0) rest.push(batchOf(one, nodeIndex, listing));
      });
    }
    return rest;
  }

  return {
    add(page) {
      const full: Batch[] = [];
      const { bytes, starts, count, values } = page;
      const names = namesOf(page);
      const { owners } = topology;
      // Once a page: they are looked at for every key, and hardly ever change.
      const batchKeys = options.batchKeys();
      const anyUnmoved = options.anyUnmoved();
      const isAgain = page.intent === 'again';
      const served = topology.nodes.map((_, nodeIndex) => options.isServed(nodeIndex));
      if (!isAgain) record.fetch(names);
      movedEarlier?.fetch(names);
      for (let place = 0; place < count; place++) {
        const start = starts[place] as number;
        const end = starts[place + 1] as number;
        const nameStart = names.starts[place] as number;
        const nameEnd = names.starts[place + 1] as number;
        const nameFrom = keyStart(names.bytes, nameStart);
        const nodeIndex = owners[slotOf(names.bytes, nameFrom, nameEnd - 2)] as number;
        if (served[nodeIndex] !== true) {
          deferred++;
          continue;
        }
        if (!isAgain && anyUnmoved && options.isUnmoved(bytes, keyStart(bytes, start), end - 2)) {
          continue;
        }
        handedOn++;
        const isListed = isAgain || record.notedAt(place);
        const wasMoved = movedEarlier?.notedAt(place) === true;
        let listing: Listing = 'first';
        // By name, not by `collections[listing]`: what is looked up by a value costs more, for each key.
        let collected = first;
        if (isListed) {
          listing = 'again';
          collected = again;
        } else if (wasMoved) {
          listing = 'moved-earlier';
          collected = movedBefore;
        }
        const into = collecting(collected, nodeIndex, batchKeys);
        const { keys } = into;
        keys.add(bytes, start, end);
        if (names !== page) {
          into.names ??= keysBuilder(batchKeys);
          into.names.add(names.bytes, nameStart, nameEnd);
        }
        if (values) {
          into.values ??= keysBuilder(batchKeys);
          into.values.add(
            values.bytes,
            values.starts[place] as number,
            values.starts[place + 1] as number,
          );
        }
        const weight = keys.byteLength + (into.values?.byteLength ?? 0);
        if (keys.count >= batchKeys || weight >= options.batchBytes) {
          full.push(batchOf(into, nodeIndex, listing));
        }
      }
      return full;
    },
    flushFresh: () => restOf('first', 'moved-earlier'),
    flush: () => restOf(...listings),
    get hasDeferred() {
      return deferred > 0;
    },
    takeHandedOnCount() {
      const count = handedOn;
      handedOn = 0;
      return count;
    },
    takeDeferredCount() {
      const count = deferred;
      deferred = 0;
      return count;
    },
  };
}

/** Sorts keys that go round again to the nodes that own them now. */
export function regroup(keys: Keys, topology: Topology): Map<number, Keys> {
  const places = new Map<number, number[]>();
  for (let place = 0; place < keys.count; place++) {
    const nodeIndex = topology.owners[slotAt(keys, place)] as number;
    const known = places.get(nodeIndex);
    if (known) known.push(place);
    else places.set(nodeIndex, [place]);
  }
  return new Map([...places].map(([nodeIndex, some]) => [nodeIndex, chosen(keys, some)]));
}
