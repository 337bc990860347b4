/**
 * What happens in a round, drawn from its seed: which servers, which mover, and which faults when.
 *
 * The faults of one track follow each other, because servers can promise nothing when a shard's
 * nodes die together, or a master in the midst of a reshard: a loss there would not be the import's.
 * The tracks go on side by side.
 */
import { type Random, randomFrom } from '../fuzz/random.js';
import type { Cast } from './theatre.js';

export type FaultKind =
  | 'kill-import'
  | 'cut'
  | 'cut-midway'
  | 'kill-clients'
  | 'kill-source'
  | 'stop-source'
  | 'kill-target'
  | 'stop-target'
  | 'fail-over'
  | 'reshard';

export interface Fault {
  readonly kind: FaultKind;
  /** How many more writes the source must have taken since the track's last fault. */
  readonly afterWrites: number;
  /** The source of whatever else has to be chosen. */
  readonly seed: number;
}

export interface Plan {
  readonly seed: number;
  readonly cast: Cast;
  readonly mover: 'auto' | 'relay' | 'migrate';
  /** How long bytes are under way between the import and the source. */
  readonly delayMs: number;
  readonly keys: number;
  /** Keys per second; held to a rate, a run goes in small pieces. Undefined: as fast as it can. */
  readonly maxRate: number | undefined;
  /** The cluster has other values of the same keys, which are to be replaced. */
  readonly occupied: boolean;
  readonly tracks: readonly (readonly Fault[])[];
  /**
   * Whether nothing happens that may leave a copy behind in the cluster, or hide whether a key has
   * left the source: then there are no excuses.
   */
  readonly strict: boolean;
}

/** How long a node may stand still: within the time-outs, or beyond. */
export const longestStopMs = 2600;

interface Row {
  readonly track: 'import' | 'source' | 'cluster';
  /** Cuts short what the import was doing, so that it can't know how far it came. */
  readonly interrupts: boolean;
  readonly cast?: Cast;
}

const rows: Readonly<Record<FaultKind, Row>> = {
  'kill-import': { track: 'import', interrupts: true },
  cut: { track: 'import', interrupts: true },
  'cut-midway': { track: 'import', interrupts: true },
  'kill-clients': { track: 'import', interrupts: true },
  'kill-source': { track: 'source', interrupts: true },
  'stop-source': { track: 'source', interrupts: true },
  'kill-target': { track: 'cluster', interrupts: true },
  'stop-target': { track: 'cluster', interrupts: true },
  'fail-over': { track: 'cluster', interrupts: false, cast: 'replicas' },
  reshard: { track: 'cluster', interrupts: false },
};

const kinds = Object.keys(rows) as FaultKind[];

export function planOf(seed: number): Plan {
  const random = randomFrom(seed, 0);
  const cast = random.oneIn(3) ? 'replicas' : 'disks';
  const calm = random.oneIn(4);
  const possible = kinds.filter((kind) => {
    const row = rows[kind];
    return (row.cast ?? cast) === cast && !(calm && row.interrupts);
  });
  const faults = Array.from({ length: 2 + random.int(4) }, () =>
    faultOf(random.pick(possible), random),
  );
  const trackOf = (track: Row['track']): Fault[] =>
    faults.filter(({ kind }) => rows[kind].track === track);
  return {
    seed,
    cast,
    // MIGRATE does not wait for replicas, so what a dead master takes with it is lost.
    mover: cast === 'replicas' ? 'relay' : random.pick(['auto', 'relay', 'relay', 'migrate']),
    delayMs: random.pick([0, 1, 3, 8]),
    keys: 1000 + random.int(3000),
    // Drawn apart, so that the rest of a seed's plan stays what it was.
    occupied: randomFrom(seed, 2_000).oneIn(4),
    maxRate: randomFrom(seed, 1_000).pick([undefined, undefined, 2000]),
    tracks: [trackOf('import'), trackOf('source'), trackOf('cluster')],
    strict: !faults.some(({ kind }) => rows[kind].interrupts),
  };
}

function faultOf(kind: FaultKind, random: Random): Fault {
  return { kind, afterWrites: random.int(1500), seed: random.int(2 ** 31) };
}
