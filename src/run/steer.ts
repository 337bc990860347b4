/**
 * Holding a run back while it lasts: what SIGUSR2 and `cluster-import ctl` do to it, and what those
 * who watch it are told of that.
 */
import type { Throttle } from '../limits/limits.js';
import type { Steered } from '../watch/sampler.js';
import { UsageError } from '../errors.js';
import type { SourceLatency } from './source-latency.js';
import type { Orders } from '../watch/run-sockets.js';

export interface Steering {
  readonly steered: Steered;
  readonly isPaused: boolean;
  pause(): void;
  resume(): void;
  /** @throws UsageError when there is nothing that the orders could be about. */
  obey(orders: Orders): void;
  /** The run has ended, and only what it shows is up. */
  end(): void;
}

const nothingToSteer =
  'The run has ended, and only its metrics are still up: there is nothing left to hold or to limit.';

/** How often the process is woken while it is paused; only that it has something to wait for counts. */
const holdMs = 60_000;

/** What can be done to a throttle from outside. */
export type SteeredThrottle = Pick<Throttle, 'isPaused' | 'pause' | 'resume' | 'limits' | 'limit'>;

export interface Steerable {
  readonly throttle: SteeredThrottle;
  readonly latency: Pick<
    SourceLatency,
    'limitMs' | 'allowedKeys' | 'others' | 'bound' | 'hasServers' | 'bind'
  >;
  /** Hears of each change. */
  readonly announce: (sentence: string) => void;
}

export function createSteering(steerable: Steerable): Steering {
  const { throttle, latency, announce } = steerable;

  let hasEnded = false;
  let hold: NodeJS.Timeout | undefined;

  function pause(): void {
    if (hasEnded) announce(nothingToSteer);
    if (hasEnded || throttle.isPaused) return;
    throttle.pause();
    // Servers close connections that are idle (their `timeout`), and Node ends a process that waits for
    // nothing but a signal.
    hold ??= setInterval(() => undefined, holdMs);
    announce('Paused; SIGUSR2 or `cluster-import ctl resume` goes on.');
  }

  const isPaused = (): boolean => !hasEnded && throttle.isPaused;

  function resume(): void {
    if (!throttle.isPaused) return;
    letGo();
    throttle.resume();
    announce('Going on.');
  }

  function letGo(): void {
    clearInterval(hold);
    hold = undefined;
  }

  function limit({ rate, bandwidth, maxSourceLatency }: Orders): void {
    if (typeof maxSourceLatency === 'number' && !latency.hasServers) {
      throw new UsageError(
        'The run reads files, which have no clients that could wait: --max-source-latency is for servers.',
      );
    }
    const { keysPerSecond, bytesPerSecond } = throttle.limits;
    if (rate !== undefined || bandwidth !== undefined) {
      throttle.limit({
        keysPerSecond: rate === undefined ? keysPerSecond : (rate ?? undefined),
        bytesPerSecond: bandwidth === undefined ? bytesPerSecond : (bandwidth ?? undefined),
      });
    }
    if (maxSourceLatency !== undefined) latency.bind(maxSourceLatency ?? 'off');
  }

  return {
    steered: {
      get isPaused() {
        return isPaused();
      },
      get keysPerSecond() {
        return throttle.limits.keysPerSecond;
      },
      get bytesPerSecond() {
        return throttle.limits.bytesPerSecond;
      },
      get sourceLatencyMs() {
        return latency.limitMs;
      },
      get allowedKeys() {
        return latency.allowedKeys;
      },
      get others() {
        return latency.bound === 'auto' ? { count: latency.others } : undefined;
      },
    },
    get isPaused() {
      return isPaused();
    },
    pause,
    resume,
    end() {
      hasEnded = true;
      letGo();
    },
    obey(orders) {
      if (hasEnded && Object.values(orders).some((order) => order !== undefined)) {
        throw new UsageError(nothingToSteer);
      }
      limit(orders);
      if (orders.paused === true) pause();
      if (orders.paused === false) resume();
    },
  };
}
