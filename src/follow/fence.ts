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
import type { FenceName } from '../types.js';
import type { SourceLine } from './source-line.js';
import { writeRefusal } from './write-refusal.js';

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
  /** Holds no longer than it does by itself: nobody may be there to say when it is to end. */
  lapse(): void;
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

/** @returns whether a server of this version can hold its clients at all. */
export const canPause = (versionNumber: number): boolean => versionNumber >= pausesSince;

/** Which fence is to be had. @returns what to do instead of `auto`. */
export function fenceFor(asked: FenceName | 'auto', versionNumber: number): SourceFence {
  const best = canPause(versionNumber) ? 'pause' : 'refuse';
  const name = asked === 'auto' ? best : asked;
  return { name, holdsAll: name === 'pause' && versionNumber < pausesWritesSince };
}

export function createFence({ name, holdsAll }: SourceFence, line: SourceLine): Fence {
  if (name === 'pause') return pausing(line, holdsAll ? pauseOfAll : pauseOfWrites);
  return name === 'refuse' ? refusing(line) : unheld(line);
}

function pausing(line: SourceLine, { ms: pauseMs, renewEveryMs, words, end }: Pause): Fence {
  const refusal = writeRefusal(line);
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
    shut: () => refusal.shut(),
    unpause,
    async release() {
      await refusal.restore();
      await unpause();
    },
    lapse() {
      clearInterval(renewal);
    },
  };
}

function refusing(line: SourceLine): Fence {
  const refusal = writeRefusal(line);
  let fromMs = Infinity;
  let opening = 0;
  return {
    name: 'refuse',
    async hold() {
      await refusal.hold();
      if (line.openings !== opening) fromMs = performance.now();
      opening = line.openings;
    },
    hasHeldSince: (ms) => fromMs <= ms && line.openings === opening,
    shut: () => refusal.shut(),
    unpause: () => Promise.resolve(),
    release: () => refusal.restore(),
    lapse: () => undefined,
  };
}

function unheld(line: SourceLine): Fence {
  const refusal = writeRefusal(line);
  return {
    name: 'none',
    hold: () => Promise.resolve(),
    hasHeldSince: () => true,
    shut: () => refusal.shut(),
    unpause: () => Promise.resolve(),
    release: () => refusal.restore(),
    lapse: () => undefined,
  };
}
