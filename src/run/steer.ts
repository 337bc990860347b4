/**
 * Holding a run back while it lasts: what SIGUSR2 and `cluster-import ctl` do to it, and what those
 * who watch it are told of that.
 */
import type { Allowance } from '../engine/allowance.js';
import type { Throttle } from '../engine/throttle.js';
import type { Steered } from '../monitor/sample.js';
import type { Orders } from '../steering/orders.js';

export interface Steering {
  readonly steered: Steered;
  readonly isPaused: boolean;
  pause(): void;
  resume(): void;
  obey(orders: Orders): void;
}

export interface Steerable {
  readonly throttle: Throttle;
  /** One for each server that keys are taken from. */
  readonly allowances: readonly Allowance[];
  /** Sets their limit, and watches for it. */
  readonly limitLatency: (latencyMs: number | undefined) => void;
  /** Hears of each change. */
  readonly announce: (sentence: string) => void;
}

export function createSteering(steerable: Steerable): Steering {
  const { throttle, allowances, announce } = steerable;

  function pause(): void {
    if (throttle.isPaused) return;
    throttle.pause();
    announce('Paused; SIGUSR2 or `cluster-import ctl resume` goes on.');
  }

  function resume(): void {
    if (!throttle.isPaused) return;
    throttle.resume();
    announce('Going on.');
  }

  function limit({ rate, bandwidth, maxSourceLatency }: Orders): void {
    const { keysPerSecond, bytesPerSecond } = throttle.limits;
    if (rate !== undefined || bandwidth !== undefined) {
      throttle.limit({
        keysPerSecond: rate === undefined ? keysPerSecond : (rate ?? undefined),
        bytesPerSecond: bandwidth === undefined ? bytesPerSecond : (bandwidth ?? undefined),
      });
    }
    if (maxSourceLatency !== undefined) steerable.limitLatency(maxSourceLatency ?? undefined);
  }

  return {
    steered: {
      get isPaused() {
        return throttle.isPaused;
      },
      get keysPerSecond() {
        return throttle.limits.keysPerSecond;
      },
      get bytesPerSecond() {
        return throttle.limits.bytesPerSecond;
      },
      get sourceLatencyMs() {
        return allowances[0]?.limitMs;
      },
      get allowedKeys() {
        const keys = allowances.reduce((sum, allowance) => sum + allowance.keys, 0);
        return keys === Infinity ? undefined : keys;
      },
    },
    get isPaused() {
      return throttle.isPaused;
    },
    pause,
    resume,
    obey(orders) {
      limit(orders);
      if (orders.paused === true) pause();
      if (orders.paused === false) resume();
    },
  };
}
