/**
 * What is under way: how much of it to each node, whether anything is at all, and which batches wait
 * until what is under way has come to rest.
 *
 * A batch takes room at its node for one try. Its life is longer: keys that go round again are under way
 * until the last of them has come to rest, because what a later try does rests on what the earlier ones
 * have left at the node.
 */
import { Gate } from '../async.js';
import type { Limits } from '../limits/limits.js';
import { keyStart, namesOf, parted } from '../redis/frames.js';
import type { Batch, Keys } from '../types.js';
import type { BatcherOptions } from './batcher.js';

export interface InFlight {
  /** Waits until the node has room for another batch. */
  room(address: string): Promise<void>;
  hasRoom(address: string): boolean;
  /**
   * Takes the room up for one try.
   * @param life lasts until nothing is left to be done for these keys, if they may go round again.
   */
  add(address: string, keyCount: number, work: Promise<unknown>, life?: Promise<unknown>): void;
  /** Keys that wait for their next try, by what they weigh: they take no room at a node, but memory. */
  keep(keyCount: number, round: Promise<void>): void;
  /** Waits until no more wait for their next try than can be held in memory. */
  calm(): Promise<void>;
  /** Waits until what is under way at this moment has ended, while new work goes on beginning. */
  settled(): Promise<void>;
  /** Waits until nothing is under way. */
  idle(): Promise<void>;
}

/** Where each weighs a kilobyte (see pipeline.ts), that is 64 MB. */
const mostWaitingKeys = 65_536;

/** @param isSick of which nodes what is under way takes no room at the others; undefined: of none. */
export function createInFlight(
  limits: Pick<Limits, 'perNode' | 'overall'>,
  isSick?: (address: string) => boolean,
): InFlight {
  const keysTo = new Map<string, number>();
  const lives = new Set<Promise<void>>();
  let allKeys = 0;
  let waitingKeys = 0;
  const gate = new Gate();

  /** @param done is called when the work has ended, ahead of those who wait for its end. */
  function ended(work: Promise<unknown>, done: () => void): Promise<void> {
    const ends = (): void => {
      done();
      gate.check();
    };
    return work.then(ends, ends);
  }

  function fill(address: string, keyCount: number): void {
    keysTo.set(address, (keysTo.get(address) ?? 0) + keyCount);
    allKeys += keyCount;
  }

  /** What takes the room that all nodes share. */
  function sharedKeys(): number {
    let keys = allKeys;
    if (isSick) for (const [address, count] of keysTo) if (isSick(address)) keys -= count;
    return keys;
  }

  function hasRoom(address: string): boolean {
    return (keysTo.get(address) ?? 0) < limits.perNode() && sharedKeys() < limits.overall();
  }

  return {
    room: (address) => gate.until(() => hasRoom(address)),
    hasRoom,
    add(address, keyCount, work, life = work) {
      fill(address, keyCount);
      void ended(work, () => {
        fill(address, -keyCount);
      });
      const whole = ended(life, () => {
        lives.delete(whole);
      });
      lives.add(whole);
    },
    keep(keyCount, round) {
      waitingKeys += keyCount;
      void ended(round, () => {
        waitingKeys -= keyCount;
      });
    },
    calm: () => gate.until(() => waitingKeys < mostWaitingKeys),
    async settled() {
      await Promise.all(lives);
    },
    idle: () => gate.until(() => lives.size === 0),
  };
}

/**
 * Batches of keys that were listed before, which wait until their earlier listings have come to rest.
 *
 * No key may be on its way twice at one time: of two tries with one key the first may find it equal
 * at the node and delete it at the source, and the second take the node's copy for a stale one of
 * its own. SCAN may list a key any number of times, so a key is held once; the next listing of it
 * waits until the one before has been let go, and has come to rest.
 */
export interface HeldBack {
  /** Keeps the batch, and lets go first what must not be under way together with it. */
  add(batch: Batch): Promise<void>;
  /** Lets all go, once what is under way has come to rest. */
  release(): Promise<void>;
}

/** So many are kept before they are let go. */
const mostHeldBack = 64;

export interface HeldBackOptions {
  readonly inFlight: Pick<InFlight, 'settled'>;
  /** Sends a batch on its way, which is tracked as in flight. */
  dispatch(batch: Batch): Promise<unknown>;
  /** Sends on their way those that were listed first and are not so far yet. */
  beforeRelease(): Promise<void>;
  /** Whether keys stay at the source: their earlier listings have accounted for them meanwhile. */
  readonly isUnmoved: BatcherOptions['isUnmoved'];
  /** Hears of those: they are not sent on their way. */
  leave(keys: Keys): void;
}

export function createHeldBack(options: HeldBackOptions): HeldBack {
  const batches: Batch[] = [];
  const names = new Set<string>();

  async function release(): Promise<void> {
    if (batches.length === 0) return;
    await options.beforeRelease();
    await options.inFlight.settled();
    names.clear();
    for (const batch of batches.splice(0)) {
      const [unmoved, rest] = split(batch, batch.keys, options.isUnmoved);
      if (unmoved.keys.count > 0) options.leave(unmoved.keys);
      if (rest.keys.count > 0) await options.dispatch(rest);
    }
  }

  async function add(batch: Batch): Promise<void> {
    if (batches.length >= mostHeldBack) await release();
    for (let rest = batch; ;) {
      const [first, again] = splitByNames(rest, names);
      if (first.keys.count > 0) batches.push(first);
      if (again.keys.count === 0) return;
      await release();
      rest = again;
    }
  }

  return { add, release };
}

/** Parts keys that are not in `names` yet, and notes them, from those that are. */
function splitByNames(batch: Batch, names: Set<string>): [first: Batch, again: Batch] {
  return split(batch, namesOf(batch.keys), (bytes, start, end) => {
    const name = bytes.toString('latin1', start, end);
    if (names.has(name)) return false;
    names.add(name);
    return true;
  });
}

/** @param frames for each of the batch's keys, what decides about it. */
function split(
  batch: Batch,
  { bytes, starts }: Keys,
  decides: (bytes: Buffer, start: number, end: number) => boolean,
): [those: Batch, others: Batch] {
  const [those, others] = parted(batch.keys, (place) => {
    const start = keyStart(bytes, starts[place] as number);
    return decides(bytes, start, (starts[place + 1] as number) - 2);
  });
  return [
    { ...batch, keys: those },
    { ...batch, keys: others },
  ];
}
