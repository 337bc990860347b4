/** What the engine's tests begin with: nodes, a topology in which every slot has an owner, batches. */
import type { Batch, Keys, Node, Outcome, Source, Topology } from '../../src/types.js';
import { keysOf } from './keys.js';
import { keyAt } from '../../src/redis/frames.js';

export const nodes: readonly Node[] = [7001, 7002].map((port) => ({
  host: 'node',
  port,
  address: `node:${String(port)}`,
}));

/** The first node owns the slots below `border`, the second the others. */
export function topologyWith(border: number): Topology {
  const owners = new Uint16Array(16_384).fill(1);
  owners.fill(0, 0, border);
  return {
    ...{ nodes, owners, refresh: () => Promise.resolve() },
    nodeAt: (address) => ({ address, host: 'node', port: Number(address.split(':')[1]) }),
  };
}

export function batchOf(keys: Keys, changes: Partial<Batch> = {}): Batch {
  const node = nodes[0] as Node;
  const copy = { state: 'unknown' } as const;
  return {
    node,
    keys,
    listedBefore: false,
    copy,
    attempt: 0,
    changes: 0,
    asking: false,
    ...changes,
  };
}

export function outcome(changes: Partial<Outcome> = {}): Outcome {
  const none = { moved: 0, gone: 0, repeated: 0, conflicting: 0, failed: 0, bytes: 0 };
  return { ...none, retries: [], failures: [], ...changes };
}

export const someKeys = (count: number): Keys =>
  keysOf(...Array.from({ length: count }, (_, nth) => `key ${String(nth)}`));

export const namesOf = (keys: Keys): string[] =>
  Array.from({ length: keys.count }, (_, place) => keyAt(keys, place).toString());

export function sourceOf(estimatedKeys: number): Source {
  return {
    name: 'mock:1/0',
    estimatedKeys,
    progress: 0.5,
    isReplayable: true,
    pages: () => {
      throw new Error('nobody asked for pages');
    },
  };
}
