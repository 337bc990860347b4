/**
 * What happens in a round, drawn from its seed: which servers, how the cluster takes over, and which faults
 * when. The faults of one track follow each other, the tracks go on side by side (test/chaos/plan.ts).
 */
import type { FeedName } from '../../src/types.js';
import type { Injectable } from '../chaos/faults.js';
import type { PlannedFault } from '../chaos/plan.js';
import type { Durability } from '../chaos/servers.js';
import { type Random, randomFrom } from '../support/random.js';

export type FaultKind =
  | Exclude<Injectable, 'refuse-writes' | 'evict' | 'kill-worker'>
  | 'flush'
  | 'swap'
  | 'stop-replica';
export type Fault = PlannedFault<FaultKind>;

/**
 * How the writers learn that the cluster has taken over.
 *
 * `refusal`  the source refuses a write.
 * `command`  `--on-cutover` tells them.
 */
type Switching = 'refusal' | 'command';

export interface Plan {
  readonly seed: number;
  readonly durability: Durability;
  /** How long bytes are under way between the run and the source. */
  readonly delayMs: number;
  readonly keys: number;
  /** Keys per second; held to a rate, the first copy takes seconds. Undefined: as fast as it can. */
  readonly maxRate: number | undefined;
  /** Values above this size travel element by element, on connections of their own. */
  readonly splitAbove: '2kb' | undefined;
  readonly switching: Switching;
  /** `auto`: faults happen until then, and all the same behind it. */
  readonly cutover: 'auto' | 'manual';
  readonly fence: 'auto' | 'pause' | 'refuse';
  readonly feed: FeedName | 'auto';
  readonly maxHold: string;
  /** Whether writers run scripts at the source: some sources can't be kept from running them. */
  readonly scripts: 'always' | 'until the cutover';
  /** `--on-cutover` ends as soon as it has told the writers, or once all have gone over. */
  readonly waitsForWriters: boolean;
  /** The connections to the source are cut while `--on-cutover` is at work. */
  readonly cutsAtSwitch: boolean;
  readonly tracks: readonly (readonly Fault[])[];
  /** While the cutover is tried. */
  readonly lateTracks: readonly (readonly Fault[])[];
}

interface Row {
  readonly track: 'run' | 'source' | 'cluster';
  readonly durability?: Durability;
  /**
   * Nobody can promise anything when it happens once the cluster has taken over, and writers may have gone
   * there: a source that has died takes writes again, and a master takes with it what no replica has.
   */
  readonly notOnceTakenOver?: Durability | 'always';
}

const rows: Readonly<Record<FaultKind, Row>> = {
  'kill-import': { track: 'run' },
  cut: { track: 'run' },
  'cut-midway': { track: 'run' },
  stall: { track: 'run' },
  'kill-clients': { track: 'run' },
  // It lasts for longer than a run may be over.
  pause: { track: 'run', notOnceTakenOver: 'always' },
  'kill-source': { track: 'source', notOnceTakenOver: 'always' },
  'stop-source': { track: 'source' },
  flush: { track: 'source', notOnceTakenOver: 'always' },
  swap: { track: 'source', notOnceTakenOver: 'always' },
  'kill-target': { track: 'cluster', notOnceTakenOver: 'replicas' },
  'stop-target': { track: 'cluster', notOnceTakenOver: 'replicas' },
  'fail-over': { track: 'cluster', durability: 'replicas' },
  // For less than its master or the others would do something about it.
  'stop-replica': { track: 'cluster', durability: 'replicas' },
  reshard: { track: 'cluster', notOnceTakenOver: 'replicas' },
};

const kinds = Object.keys(rows) as FaultKind[];

export interface PlanOptions {
  /** In some rounds large values travel element by element. */
  readonly splits?: boolean;
  /** How changes are learnt; `auto` is the replication link. */
  readonly feed?: FeedName | 'auto';
}

export function planOf(seed: number, { splits = false, feed = 'auto' }: PlanOptions = {}): Plan {
  const random = randomFrom(seed, 0);
  const durability = random.oneIn(3) ? 'replicas' : 'disks';
  const switching = random.pick(['refusal', 'command'] as const);
  const cutover = switching === 'refusal' && random.oneIn(3) ? 'auto' : 'manual';
  const possible = kinds.filter((kind) => (rows[kind].durability ?? durability) === durability);
  const safe = possible.filter((kind) => {
    const { notOnceTakenOver } = rows[kind];
    return notOnceTakenOver !== 'always' && notOnceTakenOver !== durability;
  });
  return {
    seed,
    durability,
    delayMs: random.pick([0, 0, 1, 5]),
    keys: 1500 + random.int(1500),
    maxRate: random.pick([undefined, 1200]),
    splitAbove: splits ? random.pick([undefined, '2kb']) : undefined,
    switching,
    cutover,
    feed,
    fence: switching === 'command' && random.oneIn(3) ? 'refuse' : 'pause',
    maxHold: switching === 'command' ? '60s' : random.pick(['800ms', '5s']),
    scripts: 'always',
    waitsForWriters: random.oneIn(2),
    cutsAtSwitch: random.oneIn(3),
    tracks: tracksOf(2 + random.int(4), cutover === 'auto' ? safe : possible, random),
    // Of a command it is known when it goes well: until then anything may happen.
    lateTracks: tracksOf(random.int(4), switching === 'command' ? possible : safe, random),
  };
}

function tracksOf(count: number, possible: readonly FaultKind[], random: Random): Fault[][] {
  // What a run has to begin anew after is worth the most.
  const favourite = random.pick(['kill-import', 'cut-midway'] as const);
  const faults = Array.from({ length: count }, () => ({
    kind: random.oneIn(4) ? favourite : random.pick(possible),
    afterWrites: random.int(300),
    seed: random.int(2 ** 31),
  }));
  return (['run', 'source', 'cluster'] as const).map((track) =>
    faults.filter(({ kind }) => rows[kind].track === track),
  );
}
