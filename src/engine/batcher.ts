/**
 * Sorts keys into batches by the node that owns their slot.
 * Batches are bounded by count and by bytes of keys; values are bounded where they are read.
 */
import { keysBuilder, type KeysBuilder, keyStart } from '../redis/keys.js';
import { slotOf } from '../redis/slot.js';
import type { Batch, Keys, Topology } from '../types.js';
import type { ListingRecord } from './record.js';

export interface BatcherOptions {
  readonly topology: Topology;
  readonly batchKeys: number;
  /** Of keys, frames included. */
  readonly batchBytes: number;
  readonly record: ListingRecord;
  /** Keys of a node that is not to be served now are left where they are: a later pass finds them. */
  isServed(nodeIndex: number): boolean;
  /** Whether the key `bytes[start .. end)` is known not to move, and accounted for already. */
  isStuck(bytes: Buffer, start: number, end: number): boolean;
}

export interface Batcher {
  /** Sorts a page in. @returns the batches that are full by it. */
  add(page: Keys): Batch[];
  /** What is left, as smaller batches. */
  flush(): Batch[];
  /** Keys left at the source for a later pass since the last call. */
  takeDeferredCount(): number;
}

export function batcher(options: BatcherOptions): Batcher {
  const { topology, record } = options;
  const fresh: KeysBuilder[] = [];
  const relisted: KeysBuilder[] = [];
  let deferred = 0;

  function builderFor(builders: KeysBuilder[], nodeIndex: number): KeysBuilder {
    return (builders[nodeIndex] ??= keysBuilder(options.batchKeys));
  }

  function batchOf(builder: KeysBuilder, nodeIndex: number, isRelisted: boolean): Batch {
    const node = topology.nodes[nodeIndex];
    if (!node) throw new Error(`no node has the index ${String(nodeIndex)}`);
    return {
      node,
      keys: builder.take(),
      relisted: isRelisted,
      ours: false,
      attempt: 0,
      asking: false,
    };
  }

  return {
    add(page) {
      const full: Batch[] = [];
      const { bytes, starts, count } = page;
      const { owners } = topology;
      for (let place = 0; place < count; place++) {
        const start = starts[place] as number;
        const end = starts[place + 1] as number;
        const keyFrom = keyStart(bytes, start);
        const nodeIndex = owners[slotOf(bytes, keyFrom, end - 2)] as number;
        if (!options.isServed(nodeIndex)) {
          deferred++;
          continue;
        }
        if (options.isStuck(bytes, keyFrom, end - 2)) continue;
        const again = record.noted(bytes, keyFrom, end - 2);
        const builder = builderFor(again ? relisted : fresh, nodeIndex);
        builder.add(bytes, start, end);
        if (builder.count >= options.batchKeys || builder.byteLength >= options.batchBytes) {
          full.push(batchOf(builder, nodeIndex, again));
        }
      }
      return full;
    },
    flush() {
      const rest: Batch[] = [];
      for (const builders of [fresh, relisted]) {
        builders.forEach((builder, nodeIndex) => {
          if (builder.count > 0) rest.push(batchOf(builder, nodeIndex, builders === relisted));
        });
      }
      return rest;
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
  const builders = new Map<number, KeysBuilder>();
  for (let place = 0; place < keys.count; place++) {
    const start = keys.starts[place] as number;
    const end = keys.starts[place + 1] as number;
    const slot = slotOf(keys.bytes, keyStart(keys.bytes, start), end - 2);
    const nodeIndex = topology.owners[slot] as number;
    let builder = builders.get(nodeIndex);
    if (!builder) builders.set(nodeIndex, (builder = keysBuilder(keys.count)));
    builder.add(keys.bytes, start, end);
  }
  return new Map([...builders].map(([nodeIndex, builder]) => [nodeIndex, builder.take()]));
}
