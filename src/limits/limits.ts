/**
 * How much may be under way while one source is imported. Three things decide: how far the servers are
 * (distance.ts), what clients of the source may have to wait (allowance.ts), and the rates that were asked
 * for (throttle.ts). Whoever has to know asks here, each time: all of it may change while the run lasts.
 */
import type { Allowance } from './allowance.js';
import type { Distance } from './distance.js';
import type { Throttle } from './throttle.js';

export interface Limits extends Pick<Throttle, 'turn' | 'weigh'> {
  /** How many keys one SCAN should bring. */
  page(): number;
  /** How many keys go together. */
  batch(): number;
  /** How many keys may be in flight to one node. */
  perNode(): number;
  /** How many to all nodes together; may be Infinity. */
  overall(): number;
  /** How many values the source may be asked for ahead. */
  asked(): number;
  /** How many keys one script deletes at most. */
  removed(): number;
  /** Whether the run is kept from being as fast as it can: then rates tell nothing. */
  readonly isHeldBack: boolean;
  /** What clients of the source may have to wait now; undefined: nobody minds. */
  readonly latencyMs: number | undefined;
}

const mostBatchKeys = 512;

/** @param allowance undefined: the source has no clients. */
export function createLimits(
  distance: Distance,
  throttle: Throttle,
  allowance?: Allowance,
): Limits {
  return {
    page: () => Math.min(distance.pageKeys(), allowance?.pageKeys ?? Infinity),
    batch: () => Math.min(mostBatchKeys, throttle.pieceKeys, allowance?.pieceKeys ?? Infinity),
    perNode: () => distance.inflightKeys(),
    overall: () => allowance?.keys ?? Infinity,
    asked: () => distance.askedKeys(),
    removed: () => Math.min(distance.removedKeys(), allowance?.removedKeys ?? Infinity),
    get isHeldBack() {
      return throttle.isLimited || allowance?.limitMs !== undefined;
    },
    get latencyMs() {
      return allowance?.limitMs;
    },
    turn: (keyCount) => throttle.turn(keyCount),
    weigh(keyCount, valueBytes) {
      throttle.weigh(keyCount, valueBytes);
    },
  };
}
