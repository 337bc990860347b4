/**
 * Batches of keys that were listed before, which wait until their earlier listings have come to rest.
 *
 * No key may be on its way twice at one time: of two tries with one key the first may find it equal
 * at the node and delete it at the source, and the second take the node's copy for a stale one of
 * its own. SCAN may list a key any number of times, so a key is held once; the next listing of it
 * waits until the one before has been let go, and has come to rest.
 */
import { chosen, keyStart, namesOf } from '../redis/keys.js';
import type { Batch } from '../types.js';
import type { Barrier } from './barrier.js';

export interface Held {
  /** Keeps the batch, and lets go first what must not be under way together with it. */
  add(batch: Batch): Promise<void>;
  /** Lets all go, once what is under way has come to rest. */
  release(): Promise<void>;
}

/** So many are kept before they are let go. */
const limit = 64;

export interface HeldOptions {
  readonly barrier: Barrier;
  /** Sends a batch on its way, which the barrier follows. */
  dispatch(batch: Batch): Promise<unknown>;
  /** Sends on their way those that were listed first and are not so far yet. */
  beforeRelease(): Promise<void>;
}

export function createHeld(options: HeldOptions): Held {
  const { barrier } = options;
  const batches: Batch[] = [];
  const names = new Set<string>();

  async function release(): Promise<void> {
    if (batches.length === 0) return;
    await options.beforeRelease();
    await barrier.settled();
    names.clear();
    for (const batch of batches.splice(0)) await options.dispatch(batch);
  }

  async function add(batch: Batch): Promise<void> {
    if (batches.length >= limit) await release();
    for (let rest = batch; ;) {
      const [first, again] = partOf(rest, names);
      if (first.keys.count > 0) batches.push(first);
      if (again.keys.count === 0) return;
      await release();
      rest = again;
    }
  }

  return { add, release };
}

/** Parts keys that are not in `names` yet, and notes them, from those that are. */
function partOf(batch: Batch, names: Set<string>): [first: Batch, again: Batch] {
  const { bytes, starts, count } = namesOf(batch.keys);
  const first: number[] = [];
  const again: number[] = [];
  for (let place = 0; place < count; place++) {
    const start = keyStart(bytes, starts[place] as number);
    const name = bytes.toString('latin1', start, (starts[place + 1] as number) - 2);
    (names.has(name) ? again : first).push(place);
    names.add(name);
  }
  if (again.length === 0) return [batch, { ...batch, keys: chosen(batch.keys, []) }];
  const { keys } = batch;
  return [
    { ...batch, keys: chosen(keys, first) },
    { ...batch, keys: chosen(keys, again) },
  ];
}
