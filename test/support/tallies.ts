/** Samples, tallies and batches for the monitor's tests. */
import { createTally, type EngineTally, nothingCounted } from '../../src/engine/tally.js';
import { type Standing, standingOf } from '../../src/watch/live.js';
import type { RunFacts, Sample, Steered } from '../../src/watch/sampler.js';
import type { Outcome, ServerHealth, TallySnapshot } from '../../src/types.js';
import { batchOf, outcome, someKeys, sourceOf } from './batches.js';

export const unsteered: Steered = {
  isPaused: false,
  keysPerSecond: undefined,
  bytesPerSecond: undefined,
  sourceLatencyMs: undefined,
  allowedKeys: undefined,
  others: undefined,
};

export const facts: RunFacts = {
  from: ['10.0.0.5:6379/0'],
  to: '10.0.1.1:7000',
  mode: 'move',
  version: '1.2.3',
  warnings: [],
  mover: { name: 'relay', reason: 'asked for with --mover' },
  steering: unsteered,
};

const snapshot: TallySnapshot = {
  startedAtMs: 0,
  ...nothingCounted,
  nodes: [],
  sources: [],
  causes: [],
  failures: [],
  latestFailures: [],
  progress: 0,
  earlierShare: 0,
  sourceKeysLeft: 0,
  expectedKeys: null,
};

/** Some seconds into a run of 1,000 keys a second that takes a hundred seconds. */
export function at(seconds: number, changes: Partial<TallySnapshot> = {}): TallySnapshot {
  const steady = { moved: seconds * 1000, bytes: seconds * 64_000, progress: seconds / 100 };
  return { ...snapshot, ...steady, ...changes };
}

export function sampleOf(changes: Partial<Sample> & Pick<Sample, 'snapshot'>): Sample {
  return {
    atMs: 30_000,
    status: 'running',
    facts,
    speed: {
      keysPerSecond: 331_000,
      bytesPerSecond: 21e6,
      averageKeysPerSecond: 331_000,
      leftMs: 62_000,
      stalledMs: 0,
      pausedMs: 0,
    },
    stall: undefined,
    pausedMs: undefined,
    nodes: changes.snapshot.nodes.map((node) => ({
      ...node,
      share: 0.5,
      keysPerSecond: 165_500,
      load: null,
    })),
    sources: changes.snapshot.sources.map((source) => ({ ...source, keysPerSecond: 165_500 })),
    latencySeconds: 0.0004,
    ...changes,
  };
}

/** What people look at, of such a sample. */
export function standingAt(changes: Partial<Sample> & Pick<Sample, 'snapshot'>): Standing {
  return standingOf(sampleOf(changes), undefined);
}

export const well: ServerHealth = { state: 'ok', sinceMs: null, why: null };

export function newTally(): EngineTally {
  return createTally(sourceOf(1000), 'move');
}

/** Lets a batch of so many keys end in the tally, as the pipeline does. */
export function endBatch(
  tally: EngineTally,
  address: string,
  count: number,
  changes: Partial<Outcome>,
): void {
  const batch = batchOf(someKeys(count), { node: { address, host: '', port: 0 } });
  tally.started(batch);
  tally.ended(batch, 'relay', outcome(changes), 4);
}
