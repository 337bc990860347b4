/**
 * Slows a run down, or holds it: so many keys and so many bytes a second at most.
 *
 * A batch waits for its turn before it is moved; what it weighed is known only afterwards, and is
 * what the next ones wait for. Time that was not used is not saved up, so that there is no burst
 * after a pause.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Batch, Mover, Outcome } from '../types.js';

export interface ThrottleLimits {
  /** Keys a second; undefined: as fast as it goes. */
  readonly keysPerSecond: number | undefined;
  /** Value bytes a second. */
  readonly bytesPerSecond: number | undefined;
}

export interface Throttle {
  /** The mover, with each batch waiting for its turn. */
  slow<Slowed extends Mover>(mover: Slowed): Slowed;
  readonly limits: ThrottleLimits;
  /** From now on; whoever waits for a turn is given another one. */
  limit(limits: ThrottleLimits): void;
  /** How many keys may go in one piece, so that a low rate does not come in gushes. */
  readonly pieceKeys: number;
  /** How many keys may be under way: more would only wait, cut to pieces for another rate. */
  readonly inflightKeys: number;
  /** Nothing new is moved until `resume`; what is in flight ends. */
  pause(): void;
  resume(): void;
  readonly isPaused: boolean;
  /** The run ends: what is in flight waits no longer. */
  release(): void;
}

/** A piece is what goes in so long a time. */
const pieceMs = 50;

export function createThrottle(given: ThrottleLimits): Throttle {
  let limits = given;
  /** When the next batch may go, by performance.now(). */
  let turnMs = 0;
  let released = false;
  let waiting = interruptible();
  let paused: { readonly over: Promise<void>; readonly end: () => void } | undefined;

  async function resumed(): Promise<void> {
    while (paused) await paused.over;
  }

  async function turn(keyCount: number): Promise<void> {
    for (let isMine = false; !isMine;) {
      await resumed();
      const nowMs = performance.now();
      const mineMs = Math.max(nowMs, turnMs);
      const { keysPerSecond } = limits;
      turnMs = mineMs + (keysPerSecond === undefined ? 0 : (keyCount / keysPerSecond) * 1000);
      isMine = released || mineMs <= nowMs || (await passes(mineMs - nowMs));
    }
    await resumed();
  }

  /** @returns whether the time went by without anybody changing the limits. */
  function passes(ms: number): Promise<boolean> {
    return delay(ms, true, { signal: waiting.signal }).catch(() => false);
  }

  function interrupt(): void {
    turnMs = 0;
    waiting.abort();
    waiting = interruptible();
  }

  function weigh(bytes: number): void {
    const { bytesPerSecond } = limits;
    if (bytesPerSecond === undefined) return;
    turnMs = Math.max(performance.now(), turnMs) + (bytes / bytesPerSecond) * 1000;
  }

  function resume(): void {
    paused?.end();
    paused = undefined;
  }

  return {
    slow(mover) {
      const move = async (batch: Batch): Promise<Outcome> => {
        await turn(batch.keys.count);
        const outcome = await mover.move(batch);
        weigh(outcome.bytes);
        return outcome;
      };
      // Its getters stay what they are: the name of one that chooses changes.
      return Object.create(mover, { move: { value: move } }) as typeof mover;
    },
    get limits() {
      return limits;
    },
    limit(next) {
      limits = next;
      interrupt();
    },
    get pieceKeys() {
      const { keysPerSecond } = limits;
      if (keysPerSecond === undefined) return Infinity;
      return Math.max(1, Math.round((keysPerSecond * pieceMs) / 1000));
    },
    get inflightKeys() {
      return limits.keysPerSecond ?? Infinity;
    },
    pause() {
      if (paused || released) return;
      let end = (): void => undefined;
      const over = new Promise<void>((resolve) => (end = resolve));
      paused = { over, end };
    },
    resume,
    release() {
      released = true;
      interrupt();
      resume();
    },
    get isPaused() {
      return paused !== undefined;
    },
  };
}

function interruptible(): AbortController {
  const controller = new AbortController();
  // Every batch in flight listens, and that is no leak.
  setMaxListeners(0, controller.signal);
  return controller;
}
