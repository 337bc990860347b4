/**
 * What everybody who watches a run sees at a moment: the tally's numbers, the rates that follow from
 * them, and what only watching adds. The terminal, the metrics and the page all read this, so
 * that they never tell different stories.
 */
import type { FollowStatus, MoverName, NodeTally, Tally, TallySnapshot } from '../types.js';
import { type Average, average, type Speed, speedometer } from './speed.js';

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
}

/** How the run is being held back at this moment; undefined is no limit. */
export interface Steered {
  readonly isPaused: boolean;
  readonly keysPerSecond: number | undefined;
  readonly bytesPerSecond: number | undefined;
  readonly sourceLatencyMs: number | undefined;
  /** How many keys may be under way at the source for that. */
  readonly allowedKeys: number | undefined;
}

export interface MoverInUse {
  readonly name: MoverName;
  readonly reason: string;
  /** Movers are taking turns; which one is taken will be known in a moment. */
  readonly measuring?: boolean;
}

export interface NodeSample extends NodeTally {
  /** Of all keys that were moved, 0 to 1. */
  readonly share: number;
  readonly keysPerSecond: number;
}

export interface Sample {
  readonly atMs: number;
  readonly status: RunStatus;
  readonly facts: RunFacts;
  readonly snapshot: TallySnapshot;
  readonly speed: Speed;
  /** In the order of their addresses. */
  readonly nodes: readonly NodeSample[];
  /** How long the source took to answer, as last heard. */
  readonly latencySeconds: number | undefined;
}

export interface Sampler {
  read(): Sample;
  noteLatency(seconds: number): void;
  /** From now on every reading is the same. */
  end(status: RunStatus): void;
}

export function createSampler(tally: Tally, facts: RunFacts, now = Date.now): Sampler {
  const meter = speedometer();
  const nodeMeters = new Map<string, NodeMeter>();
  let latencySeconds: number | undefined;
  let last: Sample | undefined;

  function measure(status: RunStatus): Sample {
    const atMs = now();
    const known = tally.snapshot();
    // Keys that were expected and never listed (they expired) keep no run from its end.
    const isDone = status === 'complete' || status === 'incomplete';
    const snapshot = isDone ? { ...known, progress: 1 } : known;
    const { isPaused } = facts.steering;
    const nodes = snapshot.nodes
      .map((node) => {
        let own = nodeMeters.get(node.address);
        if (!own) nodeMeters.set(node.address, (own = nodeMeter(snapshot.startedAtMs)));
        const share = snapshot.moved === 0 ? 0 : node.keys / snapshot.moved;
        return { ...node, share, keysPerSecond: own(node.keys, atMs, isPaused) };
      })
      .sort((a, b) => a.address.localeCompare(b.address, 'en', { numeric: true }));
    const speed = meter.read(snapshot, atMs, isPaused);
    return { atMs, status, facts, snapshot, speed, nodes, latencySeconds };
  }

  return {
    read: () => last ?? measure('running'),
    noteLatency(seconds) {
      latencySeconds = seconds;
    },
    end(status) {
      last = measure(status);
    },
  };
}

type NodeMeter = (keys: number, atMs: number, isPaused: boolean) => number;

function nodeMeter(startedAtMs: number): NodeMeter {
  const rate: Average = average();
  let before = { keys: 0, atMs: startedAtMs };
  return (keys, atMs, isPaused) => {
    const elapsedMs = atMs - before.atMs;
    if (elapsedMs > 0) {
      if (!isPaused) rate.add((keys - before.keys) / elapsedMs, elapsedMs);
      before = { keys, atMs };
    }
    return isPaused ? 0 : rate.value() * 1000;
  };
}
