/**
 * What happens in a round, drawn from its seed: which servers, which mover, and which faults when.
 *
 * The faults of one track follow each other, because servers can promise nothing when a shard's
 * nodes die together, or a master in the midst of a reshard: a loss there would not be the import's.
 * The tracks go on side by side.
 */
import { type Random, randomFrom } from '../support/random.js';
import type { ClientsOptions } from './clients.js';
import type { Durability } from './servers.js';

export type FaultKind =
  | 'kill-import'
  | 'kill-worker'
  | 'cut'
  | 'cut-midway'
  | 'kill-clients'
  | 'kill-source'
  | 'stop-source'
  | 'kill-target'
  | 'stop-target'
  | 'fail-over'
  | 'reshard'
  | 'pause'
  | 'refuse-writes'
  | 'evict';

export interface PlannedFault<Kind extends string> {
  readonly kind: Kind;
  /** How many more writes the source must have taken since the track's last fault. */
  readonly afterWrites: number;
  /** The source of whatever else has to be chosen. */
  readonly seed: number;
}

type Fault = PlannedFault<FaultKind>;

export interface Plan {
  readonly seed: number;
  /** As many processes import as many sources; 1: one process imports one. */
  readonly workers: number;
  readonly durability: Durability;
  readonly mover: 'auto' | 'relay' | 'migrate';
  /** How long bytes are under way between the import and the source. */
  readonly delayMs: number;
  readonly keys: number;
  /** Keys per second; held to a rate, a run goes in small pieces. Undefined: as fast as it can. */
  readonly maxRate: number | undefined;
  /** The cluster has other values of the same keys (replaced), or of some of them (kept). */
  readonly preexisting: 'none' | 'replaced' | 'kept';
  readonly verify: boolean;
  /** Keys that clients of both sides work on; undefined: there are no such clients. */
  readonly clients: ClientsOptions | undefined;
  readonly tracks: readonly (readonly Fault[])[];
  /**
   * Whether nothing happens that may leave a copy behind in the cluster, or hide whether a key has
   * left the source: then there are no excuses.
   */
  readonly strict: boolean;
  /**
   * Whether no copy may outlive its key: nothing is cut off, and there is one source. Of several, another one may
   * have taken the copy for its own key of that name and value, and deleted that: so copies stay
   * (src/movers/policy.ts).
   */
  readonly leavesNoCopies: boolean;
}

/** How long a node may stand still: within the time-outs, or beyond. */
export const longestStopMs = 2600;

interface Row {
  readonly track: 'import' | 'source' | 'cluster';
  /** Cuts short what the import was doing, so that it can't know how far it came. */
  readonly interrupts: boolean;
  readonly durability?: Durability;
  /** Nobody can tell afterwards whether clients of the cluster emptied a copy or it never was there. */
  readonly losesCopies?: true;
  /** It happens to the process of one source of several. */
  readonly needsWorkers?: true;
}

const rows: Readonly<Record<FaultKind, Row>> = {
  'kill-import': { track: 'import', interrupts: true, losesCopies: true },
  'kill-worker': { track: 'import', interrupts: true, losesCopies: true, needsWorkers: true },
  cut: { track: 'import', interrupts: true },
  'cut-midway': { track: 'import', interrupts: true },
  'kill-clients': { track: 'import', interrupts: true },
  'kill-source': { track: 'source', interrupts: true },
  'stop-source': { track: 'source', interrupts: true },
  'kill-target': { track: 'cluster', interrupts: true },
  'stop-target': { track: 'cluster', interrupts: true },
  'fail-over': { track: 'cluster', interrupts: false, durability: 'replicas' },
  reshard: { track: 'cluster', interrupts: false },
  pause: { track: 'import', interrupts: false },
  'refuse-writes': { track: 'source', interrupts: false },
  evict: { track: 'cluster', interrupts: true, losesCopies: true },
};

const kinds = Object.keys(rows) as FaultKind[];

/** Whether a run can't know how far it came when this happens to it. */
export const interrupts = (kind: FaultKind): boolean => rows[kind].interrupts;

export interface PlanOptions {
  /** Nodes evict keys, too; true unless given. */
  readonly evict?: boolean;
  /** Processes that import as many sources, each with keys of its own; 1 unless given. */
  readonly workers?: number;
}

export function planOf(seed: number, { evict = true, workers = 1 }: PlanOptions = {}): Plan {
  const random = randomFrom(seed, 0);
  const durability = random.oneIn(3) ? 'replicas' : 'disks';
  const calm = random.oneIn(3);
  const possible = kinds.filter((kind) => {
    const row = rows[kind];
    if (kind === 'evict' && !evict) return false;
    if (row.needsWorkers && workers === 1) return false;
    return (row.durability ?? durability) === durability && !(calm && row.interrupts);
  });
  const faults = Array.from({ length: 1 + random.int(4) }, () =>
    faultOf(random.pick(possible), random),
  );
  const trackOf = (track: Row['track']): Fault[] =>
    faults.filter(({ kind }) => rows[kind].track === track);
  const strict = !faults.some(({ kind }) => rows[kind].interrupts);
  // MIGRATE does not wait for replicas, so what a dead master takes with it is lost.
  const mover: Plan['mover'] =
    durability === 'replicas'
      ? 'relay'
      : random.pick(['auto', 'relay', 'relay', 'migrate'] as const);
  const asked = random.pick(['none', 'none', 'none', 'none', 'replaced', 'kept'] as const);
  // With --replace sources take turns, which is refused where processes share them.
  const preexisting = asked === 'replaced' && workers > 1 ? 'kept' : asked;
  return {
    seed,
    workers,
    durability,
    mover,
    delayMs: random.pick([0, 1, 3, 8]),
    keys: 800 + random.int(1200),
    preexisting,
    maxRate: random.pick([undefined, undefined, 2000]),
    verify: mover !== 'migrate' && random.oneIn(4),
    clients: random.oneIn(6) ? undefined : clientsOf(preexisting, faults),
    tracks: [trackOf('import'), trackOf('source'), trackOf('cluster')],
    strict,
    leavesNoCopies: strict && workers === 1,
  };
}

/**
 * What clients of the cluster may do to a copy whose key is still at the source, too.
 *
 * - They may empty it where each store is answered: the run knows then that the copy was there.
 *   A handed-over master is no exception, for it takes no writes until its replica has them all.
 * - Where a connection is cut, or a node stops or dies, a store may go without its answer. With
 *   replicas, a dead master also takes along what no replica has yet. A copy that is absent then was
 *   emptied, or never arrived: the run has to bring it, so clients leave one element in each list.
 * - After a kill, the next start knows of no copy at all, and what a node evicts vanishes whatever
 *   clients have made of it: the key is brought again from the source. So clients go on in the
 *   cluster only with keys that have left the source.
 * - With --replace, what clients do to a copy is overwritten by the next start in any case.
 */
function clientsOf(preexisting: Plan['preexisting'], faults: readonly Fault[]): ClientsOptions {
  const losesCopies = faults.some(({ kind }) => rows[kind].losesCopies);
  return {
    keys: 60,
    styles:
      preexisting === 'none' && !losesCopies
        ? ['source-first', 'cluster-only', 'cluster-first']
        : ['source-first'],
    mayEmptyCopies: !faults.some(({ kind }) => rows[kind].interrupts),
  };
}

function faultOf(kind: FaultKind, random: Random): Fault {
  return { kind, afterWrites: random.int(600), seed: random.int(2 ** 31) };
}
