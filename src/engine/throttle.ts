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
  /** Nothing new is moved until `resume`; what is in flight ends. */
  pause(): void;
  resume(): void;
  readonly isPaused: boolean;
  /** The run ends: what is in flight waits no longer. */
  release(): void;
}

export function createThrottle({ keysPerSecond, bytesPerSecond }: ThrottleLimits): Throttle {
  /** When the next batch may go, by performance.now(). */
  let turnMs = 0;
  const ending = new AbortController();
  // Every batch in flight listens, and that is no leak.
  setMaxListeners(0, ending.signal);
  let paused: { readonly over: Promise<void>; readonly end: () => void } | undefined;

  async function resumed(): Promise<void> {
    while (paused) await paused.over;
  }

  async function turn(keyCount: number): Promise<void> {
    await resumed();
    const nowMs = performance.now();
    const mineMs = Math.max(nowMs, turnMs);
    turnMs = mineMs + (keysPerSecond === undefined ? 0 : (keyCount / keysPerSecond) * 1000);
    if (mineMs > nowMs) {
      await delay(mineMs - nowMs, undefined, { signal: ending.signal }).catch(() => undefined);
    }
    await resumed();
  }

  function weigh(bytes: number): void {
    if (bytesPerSecond === undefined) return;
    turnMs = Math.max(performance.now(), turnMs) + (bytes / bytesPerSecond) * 1000;
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
    pause() {
      if (paused) return;
      let end = (): void => undefined;
      const over = new Promise<void>((resolve) => (end = resolve));
      paused = { over, end };
    },
    resume() {
      paused?.end();
      paused = undefined;
    },
    release() {
      ending.abort();
      paused?.end();
      paused = undefined;
    },
    get isPaused() {
      return paused !== undefined;
    },
  };
}
