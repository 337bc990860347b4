/**
 * What everybody who watches a run sees at a moment: the tally's numbers, the rates that follow from
 * them, and what only watching adds. The terminal, the metrics and the page all read this, so
 * that they never tell different stories.
 */
import { compareNames, formatCount, hasEnd } from '../format.js';
import type {
  FollowStatus,
  MoverName,
  NodeTally,
  ServerHealth,
  SourceTally,
  Tally,
  TallySnapshot,
} from '../types.js';
import type { Extremes, Sparing } from '../report.js';
import { type Speed, speedometer } from './speed.js';

export type RunStatus = 'running' | 'complete' | 'incomplete' | 'interrupted' | 'failed';

/** What does not change while a run lasts; mover and steering may, so they are read each time. */
export interface RunFacts {
  /** `host:port/db` of each source. */
  readonly from: readonly string[];
  /** `host:port` of the seed. */
  readonly to: string;
  readonly mode: 'move' | 'copy' | 'follow' | 'dry-run';
  readonly version: string;
  /** What the run was warned of. */
  readonly warnings: readonly string[];
  readonly mover: MoverInUse;
  readonly steering: Steered;
  /** How the following of the source stands; undefined: it is not followed, or not yet. */
  readonly follow?: (() => FollowStatus | undefined) | undefined;
  /** What is known of a node besides; undefined: it is not asked. */
  readonly loadOf?: ((address: string) => NodeLoad | null) | undefined;
}

/** How the run is being held back at this moment; undefined is no limit. */
export interface Steered {
  readonly isPaused: boolean;
  readonly keysPerSecond: number | undefined;
  readonly bytesPerSecond: number | undefined;
  readonly sourceLatencyMs: number | undefined;
  /** How many keys may be under way at the source for that. */
  readonly allowedKeys: number | undefined;
  /** For whom that limit is, where it comes and goes with them; a count of undefined: nobody knows. */
  readonly others: { readonly count: number | undefined } | undefined;
}

export interface MoverInUse {
  readonly name: MoverName;
  readonly reason: string;
  /** Movers are taking turns; which one is taken will be known in a moment. */
  readonly measuring?: boolean;
}

/** What a node says of itself, every few seconds. */
export interface NodeLoad {
  /** Null: it does not say. */
  readonly memory: {
    /** What counts against the limit. */
    readonly usedBytes: number;
    /** `maxmemory`; null: there is none. */
    readonly limitBytes: number | null;
  } | null;
  /** The longest that it took to answer, since it was told before. */
  readonly latencyMs: number;
}

export interface NodeSample extends NodeTally {
  /** Of all keys that were moved, 0 to 1. */
  readonly share: number;
  /** Over the last second or two. */
  readonly keysPerSecond: number;
  /** Null: it is not asked, or has not answered. */
  readonly load: NodeLoad | null;
}

export interface SourceSample extends SourceTally {
  /** Over the last second or two. */
  readonly keysPerSecond: number;
}

/** Nothing has come to its end for some seconds. */
export interface Stall {
  readonly forMs: number;
  /** Which servers the run waits for, or what else. */
  readonly waitingFor: readonly string[];
}

export interface Sample {
  readonly atMs: number;
  readonly status: RunStatus;
  readonly facts: RunFacts;
  readonly snapshot: TallySnapshot;
  readonly speed: Speed;
  /** Undefined: the run goes on, or is paused. */
  readonly stall: Stall | undefined;
  /** For how long it has been paused this time; undefined: it is not. */
  readonly pausedMs: number | undefined;
  /** In the order of their addresses. */
  readonly nodes: readonly NodeSample[];
  readonly sources: readonly SourceSample[];
  /** How long the source took to answer, as last heard; undefined: nothing was heard lately. */
  readonly latencySeconds: number | undefined;
}

export interface Sampler {
  read(): Sample;
  noteLatency(seconds: number): void;
  /** From now on every reading is the same. */
  end(status: RunStatus): void;
  /** Of all readings so far. */
  readonly extremes: Extremes;
}

export function createSampler(tally: Tally, facts: RunFacts, now = Date.now): Sampler {
  const meter = speedometer();
  let latency: { readonly seconds: number; readonly atMs: number } | undefined;
  let last: Sample | undefined;
  let pausedSinceMs: number | undefined;
  let pausedMs = 0;
  let peakKeysPerSecond: number | null = null;
  let longestSourceLatencyMs: number | null = null;
  const spared = createSpared();

  function measure(status: RunStatus): Sample {
    const atMs = now();
    const known = tally.snapshot();
    // Keys that were expected and never listed (they expired) keep no run from its end.
    const isDone = status === 'complete' || status === 'incomplete';
    const snapshot = isDone ? { ...known, progress: 1 } : known;
    const { isPaused, keysPerSecond, bytesPerSecond, sourceLatencyMs } = facts.steering;
    spared.note(atMs, snapshot.moved, isPaused ? undefined : facts.steering);
    pausedSinceMs = isPaused ? (pausedSinceMs ?? atMs) : undefined;
    const pace = { isPaused, keysPerSecond, bytesPerSecond, sourceLatencyMs };
    const { startedAtMs, moved } = snapshot;
    const speed = meter.read(snapshot, atMs, pace);
    const rateOf = (name: string, count: number): number => {
      // At the end it is the rate of the whole run.
      if (status !== 'running') return (count * 1000) / Math.max(1, atMs - startedAtMs);
      return meter.ofPart(name, count);
    };
    const nodes = snapshot.nodes
      .map((node) => ({
        ...node,
        share: moved === 0 ? 0 : node.keys / moved,
        keysPerSecond: rateOf(`node ${node.address}`, node.keys),
        load: facts.loadOf?.(node.address) ?? null,
      }))
      .sort((a, b) => compareNames(a.address, b.address));
    const sources = snapshot.sources.map((source) => ({
      ...source,
      keysPerSecond: rateOf(`source ${source.name}`, source.moved),
    }));
    pausedMs = speed.pausedMs;
    // The first moments are none of its pace.
    if (atMs - startedAtMs >= rateOverMs) {
      peakKeysPerSecond = Math.max(peakKeysPerSecond ?? 0, speed.keysPerSecond);
    }
    // Without a change at the source there is nothing to do for what follows it.
    const isStalled = speed.stalledMs > 0 && status === 'running' && hasEnd(facts.follow?.());
    const stall = isStalled ? stallOf(speed.stalledMs, snapshot) : undefined;
    // What has not begun yet waits for nobody: processes are started, connections are opened.
    const hasBegun = snapshot.scanned > 0 || (stall?.waitingFor.length ?? 0) > 0;
    return {
      atMs,
      status,
      facts,
      snapshot,
      speed,
      stall: hasBegun ? stall : undefined,
      pausedMs: pausedSinceMs === undefined ? undefined : atMs - pausedSinceMs,
      nodes,
      sources,
      latencySeconds:
        latency && atMs - latency.atMs <= latencyKnownForMs ? latency.seconds : undefined,
    };
  }

  return {
    read: () => last ?? measure('running'),
    noteLatency(seconds) {
      latency = { seconds, atMs: now() };
      longestSourceLatencyMs = Math.max(longestSourceLatencyMs ?? 0, seconds * 1000);
    },
    get extremes() {
      return { pausedMs, peakKeysPerSecond, longestSourceLatencyMs, sparing: spared.sparing };
    },
    end(status) {
      last = measure(status);
    },
  };
}

function stallOf(forMs: number, { nodes, sources }: TallySnapshot): Stall {
  const inOrder = nodes.toSorted((one, other) => compareNames(one.address, other.address));
  const servers = [
    ...sources.filter(isUnwell).map(({ name }) => name),
    ...inOrder.filter(isUnwell).map(({ address }) => address),
  ];
  if (servers.length > 0) return { forMs, waitingFor: servers };
  const busy = inOrder.filter(({ inflightKeys }) => inflightKeys > 0);
  if (busy.length === 0) {
    // Keys of theirs go round until their tries are over.
    const givenUp = inOrder.filter(({ health }) => health.state === 'given-up');
    return { forMs, waitingFor: givenUp.map(({ address }) => address) };
  }
  return {
    forMs,
    waitingFor: busy.map(({ address, inflightKeys }) => {
      return `${formatCount(inflightKeys)} ${inflightKeys === 1 ? 'key' : 'keys'} on the way to ${address}`;
    }),
  };
}

function isUnwell({ health }: { readonly health: ServerHealth }): boolean {
  return health.state === 'slow' || health.state === 'away';
}

const rateOverMs = 1500;
/** It is told every second or so, for as long as the source answers or is waited for. */
const latencyKnownForMs = 5000;

/* For how long a run was held to what spares the source's clients, and how fast it was then and otherwise. */

/** What is measured over less tells nothing. */
const leastMs = 1000;

interface LatencyLimit {
  /** Undefined: nobody is spared. */
  readonly sourceLatencyMs: number | undefined;
  /** For whom; undefined: for whom it was asked for. */
  readonly others: object | undefined;
}

export interface Spared {
  /** @param limit what holds; undefined: the run is paused. */
  note(atMs: number, moved: number, limit: LatencyLimit | undefined): void;
  /** Undefined: nobody was ever spared. */
  readonly sparing: Sparing | undefined;
}

/** What went by since the last look counts for what holds now. */
export function createSpared(): Spared {
  const held = { ms: 0, keys: 0 };
  const free = { ms: 0, keys: 0 };
  let limit: { readonly limitMs: number; readonly forOthers: boolean } | undefined;
  let last: { readonly atMs: number; readonly moved: number } | undefined;

  return {
    note(atMs, moved, now) {
      const before = last;
      last = { atMs, moved };
      if (!now) return;
      const { sourceLatencyMs: limitMs, others } = now;
      if (limitMs !== undefined) limit = { limitMs, forOthers: others !== undefined };
      if (!before) return;
      const sum = limitMs === undefined ? free : held;
      sum.ms += atMs - before.atMs;
      sum.keys += moved - before.moved;
    },
    get sparing() {
      if (!limit) return undefined;
      return {
        ...limit,
        durationMs: Math.round(held.ms),
        keysPerSecond: rateOf(held),
        otherwiseKeysPerSecond: rateOf(free),
      };
    },
  };
}

function rateOf({ ms, keys }: { readonly ms: number; readonly keys: number }): number | null {
  return ms < leastMs ? null : Math.round((keys * 1000) / ms);
}
