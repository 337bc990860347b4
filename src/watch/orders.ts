/** The orders that a run takes while it lasts, and what it answers. */
import { UsageError } from '../errors.js';
import { parseObject } from '../format.js';
import type { Standing } from './live.js';
import {
  flag,
  type Given,
  optionalBytes,
  optionalCount,
  durationOr,
  readRows,
  type Row,
  type Rows,
  type Values,
} from '../options/rows.js';

const mostKeys = { min: 1, max: 1_000_000_000 };
const mostBytes = { min: 1, max: Number.MAX_SAFE_INTEGER };
const latency = { fallback: 'off', min: 1, max: 60_000 } as const;

/** The limits, each with the word that lifts it. */
export const limitRows = {
  /** Keys a second; null: as fast as it goes. */
  rate: liftable(
    optionalCount(
      { flag: '--rate <keys/s>', help: 'move no more keys a second; none lifts the limit' },
      mostKeys,
    ),
  ),
  /** Value bytes a second. */
  bandwidth: liftable(
    optionalBytes(
      {
        flag: '--bandwidth <bytes/s>',
        help: 'move no more a second, for example 20mb; none lifts it',
      },
      mostBytes,
    ),
  ),
  /** How long clients of the source may have to wait. */
  maxSourceLatency: liftable(
    durationOr(
      {
        flag: '--max-source-latency <ms|auto>',
        help: 'throttle so that the source answers its clients within this time; auto: while others use it; none lifts it',
      },
      ['auto', 'off'],
      latency,
    ),
  ),
} satisfies Rows;

const orderRows = {
  ...limitRows,
  paused: flag({ flag: 'paused', help: 'hold the run, or let it go on' }, undefined),
  stop: flag({ flag: 'stop', help: 'end the run after the batches in flight' }, undefined),
  cutover: flag({ flag: 'cutover', help: 'let the cluster take over from the source' }, undefined),
  release: flag({ flag: 'release', help: 'let writes go on that are held' }, undefined),
} satisfies Rows;

/** What is undefined stays as it is; with nothing in it, it only asks. */
export type Orders = Partial<Values<typeof orderRows>>;

/** How a run stands: what its page shows, without the course. */
export interface State extends Standing {
  readonly pid: number;
}

export type Answer = { readonly state: State } | { readonly refused: string };

/**
 * Reads what came over the socket.
 * @throws UsageError in one sentence.
 */
export function readOrders(text: string): Orders {
  const value = parseObject(text);
  if (!value) throw new UsageError('Orders are one JSON object on one line.');
  return readRows(orderRows, value);
}

/** The same limits under the names that programs know them by; null lifts one. */
const namedLimitRows = {
  keysPerSecond: liftable(optionalCount({ flag: 'keysPerSecond', help: '' }, mostKeys)),
  /** Value bytes. */
  bytesPerSecond: liftable(optionalBytes({ flag: 'bytesPerSecond', help: '' }, mostBytes)),
  /** How long clients of the source may have to wait. Measuring that takes a thread. */
  sourceLatencyMs: liftable(
    durationOr({ flag: 'sourceLatencyMs', help: '' }, ['auto', 'off'], latency),
  ),
} satisfies Rows;

/** What holds a run back. What is left out stays as it is. */
export type ImportLimits = Given<typeof namedLimitRows, never>;

/** @throws UsageError naming the limit. */
export function readLimits(limits: ImportLimits): Orders {
  const { keysPerSecond, bytesPerSecond, sourceLatencyMs } = readRows(namedLimitRows, limits);
  return {
    ...(keysPerSecond !== undefined && { rate: keysPerSecond }),
    ...(bytesPerSecond !== undefined && { bandwidth: bytesPerSecond }),
    ...(sourceLatencyMs !== undefined && { maxSourceLatency: sourceLatencyMs }),
  };
}

/** What is not said stays as it is; null lifts it. */
function liftable<T, Input>(row: Row<T, Input>): Row<T | null | undefined, Input | null> {
  const words = ['none', '0', 0, null];
  return {
    ...row,
    fallback: () => undefined,
    read: (value) => (words.includes(value as never) ? null : row.read(value)),
  };
}
