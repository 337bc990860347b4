/**
 * Holds the writes of the source's clients, so that the source stands still while the last of its changes
 * are copied; and keeps writers off once the cluster has taken over.
 *
 * `pause`   CLIENT PAUSE … WRITE (Redis 6.2): writes wait, reads go on. The pause ends by itself soon after
 *           this process dies, so it is short, and renewed as long as it lasts. From 3.0 to 6.0 CLIENT PAUSE holds
 *           reads too, ours among them: they go by a side door (side-door.ts). It can't be ended there, so each
 *           one is shorter.
 * `refuse`  min-replicas-to-write: writes are answered with -NOREPLICAS. Up to 5.0, scripts and EXEC slip
 *           through, which is why the offset is read once more after the last round. It outlives this
 *           process.
 * `none`    their owner has stopped them.
 *
 * Where the connection is lost, another one takes its place. Whether the source was started again meanwhile, and
 * has forgotten the fence, can't be told: so the fence counts as a new one.
 */
import { RefusedError } from '../errors.js';
import type { Control } from '../redis/control.js';
import type { FenceName } from '../types.js';
import type { SourceLine } from './source-line.js';

export interface Fence {
  readonly name: FenceName;
  /**
   * From the moment at which it resolves no client's write is carried out. May be called again, after the
   * source may have forgotten it. @throws RefusedError
   */
  hold(): Promise<void>;
  /** Whether no write can have been carried out since then, in ms of `performance.now()`. */
  hasHeldSince(ms: number): boolean;
  /**
   * Leaves the source so that it refuses writes: who comes late gets an error instead of losing data, and a later
   * start knows that the cluster has taken over.
   * @returns how many replicas it wanted for a write before; undefined: it does not let us.
   */
  shut(): Promise<number | undefined>;
  /** Lets go what waits behind a pause: it is refused, if the source has been shut. */
  unpause(): Promise<void>;
  /** Lets writes go on. */
  release(): Promise<void>;
}

/** A way of holding writes, as it is at one source. */
export interface SourceFence {
  readonly name: FenceName;
  /** All clients are held, also those that only read. */
  readonly holdsAll: boolean;
}

/** CLIENT PAUSE came with the first of these versions, CLIENT PAUSE … WRITE with the second one. */
const pausesSince = 30_000;
const pausesWritesSince = 60_200;

interface Pause {
  readonly ms: number;
  readonly renewEveryMs: number;
  readonly words: readonly string[];
  /** Ends it; undefined: it has to be waited for. */
  readonly end: readonly [string, string] | undefined;
}
const pauseOfWrites: Pause = {
  ms: 3000,
  renewEveryMs: 1000,
  words: ['WRITE'],
  end: ['CLIENT', 'UNPAUSE'],
};
const pauseOfAll: Pause = { ms: 500, renewEveryMs: 150, words: [], end: undefined };
/** The server looks after its clients every so often, and the pause ends only then. */
const looksEveryMs = 110;
/** More replicas than there are: nobody may write, until the cutover is over or has failed. */
const heldReplicas = '1000000';
/** The same for good: the cluster has taken over. */
const shutReplicas = '1000001';

/** @returns whether a server of this version can hold its clients at all. */
export const canPause = (versionNumber: number): boolean => versionNumber >= pausesSince;

/** Which fence is to be had. @returns what to do instead of `auto`. */
export function fenceFor(asked: FenceName | 'auto', versionNumber: number): SourceFence {
  const best = canPause(versionNumber) ? 'pause' : 'refuse';
  const name = asked === 'auto' ? best : asked;
  return { name, holdsAll: name === 'pause' && versionNumber < pausesWritesSince };
}

/** Whether the source can be made to refuse writes once the cluster has taken over. */
export async function mayRefuseWrites(control: Control): Promise<boolean> {
  try {
    // What is set already.
    await setLeastReplicas(control, await readLeastReplicas(control));
    return true;
  } catch (error) {
    if (error instanceof RefusedError) return false;
    throw error;
  }
}

export function createFence({ name, holdsAll }: SourceFence, line: SourceLine): Fence {
  if (name === 'pause') return pausing(line, holdsAll ? pauseOfAll : pauseOfWrites);
  return name === 'refuse' ? refusing(line) : unheld(line);
}

function pausing(line: SourceLine, { ms: pauseMs, renewEveryMs, words, end }: Pause): Fence {
  const replicas = leastReplicas(line);
  let renewal: NodeJS.Timeout | undefined;
  let fromMs = Infinity;
  let untilMs = 0;
  let opening = 0;
  let unpauses = 0;

  async function pause(): Promise<void> {
    const sentMs = await line.use(async (control) => {
      const nowMs = performance.now();
      await control.call('CLIENT', 'PAUSE', pauseMs, ...words);
      return nowMs;
    });
    // A source that was started again has forgotten it.
    if (sentMs > untilMs || line.openings !== opening) fromMs = performance.now();
    // A longer pause is never shortened by another one (networking.c, pauseActions).
    untilMs = sentMs + pauseMs;
    opening = line.openings;
  }
  async function unpause(): Promise<void> {
    unpauses++;
    clearInterval(renewal);
    const leftMs = untilMs + looksEveryMs - performance.now();
    untilMs = 0;
    if (end) await line.use((control) => control.call(...end));
    else await new Promise((resolve) => setTimeout(resolve, Math.max(0, leftMs)));
  }
  return {
    name: 'pause',
    async hold() {
      const before = unpauses;
      await pause();
      clearInterval(renewal);
      // It was let go while the source took its time to answer: nothing may renew it.
      if (unpauses !== before) return;
      renewal = setInterval(() => void pause().catch(() => undefined), renewEveryMs);
    },
    hasHeldSince: (ms) => fromMs <= ms && performance.now() < untilMs && line.openings === opening,
    shut: () => replicas.shut(),
    unpause,
    async release() {
      await replicas.restore();
      await unpause();
    },
  };
}

function refusing(line: SourceLine): Fence {
  const replicas = leastReplicas(line);
  let fromMs = Infinity;
  let opening = 0;
  return {
    name: 'refuse',
    async hold() {
      await replicas.raise(heldReplicas);
      if (line.openings !== opening) fromMs = performance.now();
      opening = line.openings;
    },
    hasHeldSince: (ms) => fromMs <= ms && line.openings === opening,
    shut: () => replicas.shut(),
    unpause: () => Promise.resolve(),
    release: () => replicas.restore(),
  };
}

function unheld(line: SourceLine): Fence {
  const replicas = leastReplicas(line);
  return {
    name: 'none',
    hold: () => Promise.resolve(),
    hasHeldSince: () => true,
    shut: () => replicas.shut(),
    unpause: () => Promise.resolve(),
    release: () => replicas.restore(),
  };
}

interface LeastReplicas {
  /** @returns what it was before. */
  readonly raise: (count: string) => Promise<string>;
  readonly shut: () => Promise<number | undefined>;
  readonly restore: () => Promise<void>;
}

/** How many replicas the source wants before it takes a write, and what that was before. */
function leastReplicas(line: SourceLine): LeastReplicas {
  let before: string | undefined;
  let last: Promise<unknown> = Promise.resolve();

  /** One after the other: what is put back must not be overtaken by what was still being set. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return done;
  }
  async function set(count: string): Promise<string> {
    if (before === undefined) {
      const found = await line.use(readLeastReplicas);
      before = isOurs(found) ? '0' : found;
    }
    await line.use((control) => setLeastReplicas(control, count));
    return before;
  }
  async function shut(): Promise<number | undefined> {
    try {
      return Number(await set(shutReplicas));
    } catch (error) {
      if (error instanceof RefusedError) return undefined;
      throw error;
    }
  }
  async function restore(): Promise<void> {
    const count = before;
    if (count === undefined) return;
    await line.use((control) => setLeastReplicas(control, count));
    before = undefined;
  }
  return {
    raise: (count) => inTurn(() => set(count)),
    shut: () => inTurn(shut),
    restore: () => inTurn(restore),
  };
}

const isOurs = (count: string): boolean => count === heldReplicas || count === shutReplicas;

/** How an earlier run has left the source; undefined: as it found it. */
export async function leftBefore(control: Control): Promise<'held' | 'shut' | undefined> {
  const count = await readLeastReplicas(control).catch(() => '');
  if (!isOurs(count)) return undefined;
  return count === shutReplicas ? 'shut' : 'held';
}

export async function letWrite(control: Control): Promise<void> {
  await setLeastReplicas(control, '0');
}

/** Up to 4.0 it is called min-slaves-to-write. */
const names = ['min-replicas-to-write', 'min-slaves-to-write'];

async function readLeastReplicas(control: Control): Promise<string> {
  for (const name of names) {
    const reply = await control.call('CONFIG', 'GET', name);
    if (Array.isArray(reply) && reply.length === 2) return String(reply[1]);
  }
  return '0';
}

async function setLeastReplicas(control: Control, count: string): Promise<void> {
  let refusal: unknown;
  for (const name of names) {
    try {
      await control.call('CONFIG', 'SET', name, count);
      return;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refusal ??= error;
    }
  }
  throw refusal;
}
