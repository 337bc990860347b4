/**
 * What happens in a round, drawn from its seed: what is followed and how, how the cluster takes over, and which faults
 * when. The faults of one track follow each other, the tracks go on side by side (test/chaos/plan.ts).
 */
import type { FeedName } from '../../src/types.js';
import type { Injectable } from '../chaos/faults.js';
import type { PlannedFault } from '../chaos/plan.js';
import type { Durability } from '../chaos/servers.js';
import { type Random, randomFrom } from '../support/random.js';
import { mostSources, type SourcesKind } from './sources.js';

export type FaultKind =
  | Exclude<Injectable, 'refuse-writes' | 'evict'>
  | 'flush'
  | 'swap'
  | 'stop-replica'
  | 'source-fail-over'
  | 'source-take-over'
  | 'source-reshard'
  | 'kill-queue-worker'
  | 'stop-queue-worker'
  | 'restart-queue';
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
  readonly sources: SourcesKind;
  /** As many stand alone; 0: they are the masters of a cluster. */
  readonly sourceCount: number;
  /** Keys are named after their source in the cluster: so a run goes on where the one before was stopped. */
  readonly hasPrefix: boolean;
  readonly durability: Durability;
  /** How many processes follow. */
  readonly workers: number;
  /** How many workers take the sources from a queue; 0: there is no queue. */
  readonly queueWorkers: number;
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
  /** What it happens to; any unless given. */
  readonly sources?: readonly SourcesKind[];
  readonly durability?: Durability;
  readonly needsWorkers?: boolean;
  readonly needsQueue?: boolean;
  /**
   * Nobody can promise anything when it happens once the cluster has taken over, and writers may have gone
   * there: a source that has died takes writes again, and a master takes with it what no replica has.
   */
  readonly notOnceTakenOver?: Durability | 'always';
}

const alone: readonly SourcesKind[] = ['one', 'several'];

const rows: Readonly<Record<FaultKind, Row>> = {
  'kill-import': { track: 'run' },
  cut: { track: 'run' },
  'cut-midway': { track: 'run' },
  stall: { track: 'run' },
  'kill-clients': { track: 'run' },
  // It lasts for longer than a run may be over.
  pause: { track: 'run', notOnceTakenOver: 'always' },
  'kill-source': { track: 'source', sources: alone, notOnceTakenOver: 'always' },
  'stop-source': { track: 'source' },
  flush: { track: 'source', notOnceTakenOver: 'always' },
  swap: { track: 'source', sources: alone, notOnceTakenOver: 'always' },
  // Whoever takes over from a source takes writes again.
  'source-fail-over': { track: 'source', sources: ['cluster'], notOnceTakenOver: 'always' },
  'source-take-over': { track: 'source', sources: ['cluster'], notOnceTakenOver: 'always' },
  // Nodes that refuse writes refuse those of a reshard, too.
  'source-reshard': { track: 'source', sources: ['cluster'], notOnceTakenOver: 'always' },
  'kill-target': { track: 'cluster', notOnceTakenOver: 'replicas' },
  'stop-target': { track: 'cluster', notOnceTakenOver: 'replicas' },
  'fail-over': { track: 'cluster', durability: 'replicas' },
  // For less than its master or the others would do something about it.
  'stop-replica': { track: 'cluster', durability: 'replicas' },
  reshard: { track: 'cluster', notOnceTakenOver: 'replicas' },
  'kill-worker': { track: 'run', needsWorkers: true },
  'kill-queue-worker': { track: 'run', needsQueue: true },
  'stop-queue-worker': { track: 'run', needsQueue: true },
  'restart-queue': { track: 'run', needsQueue: true },
};

const kinds = Object.keys(rows) as FaultKind[];

export interface PlanOptions {
  /** In some rounds large values travel element by element. */
  readonly splits?: boolean;
  /** How changes are learnt; `auto` is the replication link, `any` one of all by the seed. */
  readonly feed?: FeedName | 'auto' | 'any';
  /** What is followed; `any` by the seed. */
  readonly sources?: SourcesKind | 'any';
  /** How many processes follow the sources, where there are several. */
  readonly workers?: number;
  /** Workers of a queue follow. */
  readonly queue?: boolean;
}

const sourcesKinds: readonly SourcesKind[] = ['one', 'several', 'cluster'];
/** Half of the rounds have the one that most runs have. */
const feeds = ['auto', 'auto', 'auto', 'tracking', 'notifications', 'none'] as const;
/** Of the numbers that are drawn for a seed. */
const sourcesStream = 1000;
const queueStream = 1001;

export function planOf(
  seed: number,
  {
    splits = false,
    feed: wantedFeed = 'auto',
    sources: wantedSources = 'one',
    workers: wantedWorkers = 1,
    queue = false,
  }: PlanOptions = {},
): Plan {
  const { sources, feed, ...ofSources } = drawSources(seed, wantedSources, wantedFeed);
  const workers = sources === 'one' || queue ? 1 : wantedWorkers;
  const random = randomFrom(seed, 0);
  const durability = random.oneIn(3) ? 'replicas' : 'disks';
  const switching = random.pick(['refusal', 'command'] as const);
  const cutover = switching === 'refusal' && random.oneIn(3) ? 'auto' : 'manual';
  const possible = kinds.filter(
    (kind) =>
      (rows[kind].durability ?? durability) === durability &&
      (workers > 1 || rows[kind].needsWorkers !== true) &&
      (queue || rows[kind].needsQueue !== true) &&
      (rows[kind].sources ?? sourcesKinds).includes(sources),
  );
  const safe = possible.filter((kind) => {
    const { notOnceTakenOver } = rows[kind];
    return notOnceTakenOver !== 'always' && notOnceTakenOver !== durability;
  });
  return {
    seed,
    sources,
    ...ofSources,
    workers,
    queueWorkers: queue ? randomFrom(seed, queueStream).pick([2, 3]) : 0,
    durability,
    delayMs: random.pick([0, 0, 1, 5]),
    keys: 1500 + random.int(1500),
    maxRate: random.pick([undefined, 1200]),
    splitAbove: splits ? random.pick([undefined, '2kb']) : undefined,
    switching,
    cutover,
    feed,
    fence: switching === 'command' && random.oneIn(3) ? 'refuse' : 'pause',
    maxHold: maxHoldOf(switching, feed, random),
    scripts: 'always',
    waitsForWriters: random.oneIn(2),
    cutsAtSwitch: random.oneIn(3),
    tracks: tracksOf(2 + random.int(4), cutover === 'auto' ? safe : possible, random),
    // Of a command it is known when it goes well: until then anything may happen.
    lateTracks: tracksOf(random.int(4), switching === 'command' ? possible : safe, random),
  };
}

function drawSources(
  seed: number,
  wantedSources: NonNullable<PlanOptions['sources']>,
  wantedFeed: NonNullable<PlanOptions['feed']>,
): Pick<Plan, 'sources' | 'sourceCount' | 'hasPrefix' | 'feed'> {
  const random = randomFrom(seed, sourcesStream);
  const drawnSources = random.pick(sourcesKinds);
  const drawnFeed = random.pick(feeds);
  const several = 2 + random.int(mostSources - 1);
  const hasPrefix = random.oneIn(2);
  const sources = wantedSources === 'any' ? drawnSources : wantedSources;
  return {
    sources,
    sourceCount: { one: 1, several, cluster: 0 }[sources],
    hasPrefix: sources === 'several' && hasPrefix,
    feed: wantedFeed === 'any' ? drawnFeed : wantedFeed,
  };
}

function maxHoldOf(switching: Switching, feed: Plan['feed'], random: Random): string {
  if (switching === 'command') return '60s';
  const drawn = random.pick(['800ms', '5s']);
  // All keys are copied while writes are held.
  return feed === 'none' ? '60s' : drawn;
}

function tracksOf(count: number, possible: readonly FaultKind[], random: Random): Fault[][] {
  // What a run has to begin anew after is worth the most, and what only a cluster does.
  const drawn = random.pick(['kill-import', 'cut-midway'] as const);
  const favourite = possible.includes('kill-worker') ? 'kill-worker' : drawn;
  const ofCluster = possible.filter((kind) => rows[kind].sources?.includes('cluster'));
  const ofQueue = possible.filter((kind) => rows[kind].needsQueue);
  const pickKind = (): FaultKind => {
    if (ofQueue.length > 0 && random.oneIn(2)) return random.pick(ofQueue);
    if (ofCluster.length > 0 && random.oneIn(3)) return random.pick(ofCluster);
    return random.oneIn(4) ? favourite : random.pick(possible);
  };
  const faults = Array.from({ length: count }, () => ({
    kind: pickKind(),
    afterWrites: random.int(300),
    seed: random.int(2 ** 31),
  }));
  return (['run', 'source', 'cluster'] as const).map((track) =>
    faults.filter(({ kind }) => rows[kind].track === track),
  );
}
