/**
 * What whoever runs a job says while it lasts, and how it ended: plain JSON, so that it can come from
 * anywhere. Everything in it is a state, but for events, which are those since the news before.
 */
import type { LatencyBound } from '../limits/quiet.js';
import type { MoverInUse } from '../watch/sampler.js';
import { joinSnapshots } from '../engine/tally.js';
import type {
  BatchEvent,
  FailureCause,
  KeyFailure,
  MoverName,
  Phase,
  ScanPosition,
  TallySnapshot,
} from '../types.js';

/** A key that was left behind; its bytes are base64. */
interface FailureOnWire extends Omit<KeyFailure, 'key'> {
  readonly key: string;
}

type TallyOnWire = Omit<TallySnapshot, 'failures' | 'latestFailures' | 'causes'> & {
  readonly failures: readonly FailureOnWire[];
  readonly latestFailures: readonly FailureOnWire[];
  readonly causes: readonly CauseOnWire[];
};

interface CauseOnWire extends Omit<FailureCause, 'examples'> {
  readonly examples: readonly string[];
}

/** Batches that ended. Most say nothing but how long they took, and there may be hundreds a second. */
export interface BatchesOnWire {
  /** In milliseconds, by mover and node. */
  readonly plain: Readonly<Partial<Record<MoverName, Readonly<Record<string, readonly number[]>>>>>;
  /** Those with more to say. */
  readonly others: readonly BatchEvent[];
}

/** How far the import of one source has come, all attempts together. */
export interface SourceProgress {
  readonly tally: TallyOnWire;
  readonly mover: MoverInUse;
  /** Before it every key is where it should be, and this is what the tally said there; null: nobody knows. */
  readonly settled: { readonly position: ScanPosition; readonly tally: TallyOnWire } | null;
}

export interface JobNews {
  /** By source. */
  readonly sources: Readonly<Record<string, SourceProgress>>;
  /** The batches that have ended. */
  readonly batches: Readonly<Record<string, BatchesOnWire>>;
  readonly failures: Readonly<Record<string, readonly FailureOnWire[]>>;
  readonly warnings: readonly string[];
  readonly log: readonly LogLine[];
  /** How long clients of the source had to wait in the last moment; null: it was not measured. */
  readonly latencySeconds: number | null;
  /** What they may have to wait now; null: nobody minds. */
  readonly latencyLimitMs: number | null;
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
  /** People should see it, whatever the level of the log. */
  readonly isAnnounced?: boolean;
}

/** How a job came to its end. */
export type JobEnd =
  | { readonly sources: Readonly<Record<string, EndOfSource>>; readonly news: JobNews }
  /** It could not begin; nothing was moved. */
  | { readonly refused: string };

/** Why a source had to stop midway; `error` is null where it came to its end. */
export interface EndOfSource {
  readonly error: string | null;
  readonly isFinal: boolean;
}

/** What a job is told while it lasts; null is no limit. */
export interface JobOrders {
  readonly keysPerSecond: number | null;
  readonly bytesPerSecond: number | null;
  readonly sourceLatencyMs: LatencyBound;
  /** Somebody wants to know how long clients of the source wait. */
  readonly measuresLatency: boolean;
  readonly isPaused: boolean;
  /** How far the following of all sources is; null: nothing is followed, or nobody knows yet. */
  readonly followPhase: Phase | null;
}

export function failureOnWire(failure: KeyFailure): FailureOnWire {
  return { ...failure, key: failure.key.toString('base64') };
}

export function failureOf(failure: FailureOnWire): KeyFailure {
  return { ...failure, key: Buffer.from(failure.key, 'base64') };
}

export function batchesOnWire(events: readonly BatchEvent[]): BatchesOnWire {
  const plain: Partial<Record<MoverName, Record<string, number[]>>> = {};
  const others: BatchEvent[] = [];
  for (const event of events) {
    const { mover, node, durationMs, troubles, repeated, deleted } = event;
    if (troubles.length > 0 || repeated > 0 || deleted > 0) {
      others.push(event);
      continue;
    }
    const durations = ((plain[mover] ??= {})[node] ??= []);
    durations.push(Math.round(durationMs * 100) / 100);
  }
  return { plain, others };
}

/** In loops, and without copies: a coordinator hears tens of thousands a second of a hundred workers. */
export function batchesOf({ plain, others }: BatchesOnWire): BatchEvent[] {
  const events: BatchEvent[] = [];
  for (const [name, nodes] of Object.entries(plain)) {
    const mover = name as MoverName;
    for (const [node, durations] of Object.entries(nodes)) {
      for (const durationMs of durations) {
        events.push({ mover, node, durationMs, troubles: [], repeated: 0, deleted: 0 });
      }
    }
  }
  events.push(...others);
  return events;
}

export function tallyOnWire(snapshot: TallySnapshot): TallyOnWire {
  const { failures, latestFailures, causes } = snapshot;
  return {
    ...snapshot,
    causes: causes.map((cause) => ({
      ...cause,
      examples: cause.examples.map((key) => key.toString('base64')),
    })),
    failures: failures.map(failureOnWire),
    latestFailures: latestFailures.map(failureOnWire),
  };
}

export function tallyOf(wire: TallyOnWire): TallySnapshot {
  const { failures, latestFailures, causes } = wire;
  return {
    ...wire,
    causes: causes.map((cause) => ({
      ...cause,
      examples: cause.examples.map((key) => Buffer.from(key, 'base64')),
    })),
    failures: failures.map(failureOf),
    latestFailures: latestFailures.map(failureOf),
  };
}

/**
 * What still counts of a source's earlier attempts. Where a scan is gone on with, that is what was counted up
 * to its position. Else all keys that are left are met again, those that failed among them: what counts is
 * what has gone from the source, or, of a copy, nothing.
 */
export function countedBefore(
  progress: SourceProgress | undefined,
  copies: boolean,
): TallySnapshot | undefined {
  if (!progress) return undefined;
  if (copies) return progress.settled ? atRest(tallyOf(progress.settled.tally)) : undefined;
  const tally = atRest(tallyOf(progress.tally));
  const { moved, gone } = tally;
  return {
    ...tally,
    scanned: moved + gone,
    conflicting: 0,
    failed: 0,
    nodes: tally.nodes.map((node) => ({ ...node, unmoved: 0 })),
    sources: tally.sources.map((source) => ({ ...source, conflicting: 0, failed: 0 })),
    causes: [],
    failures: [],
    latestFailures: [],
  };
}

/** The same of a source that is followed on from where an earlier attempt was: it is not copied once more. */
export function countedWhileFollowed(
  progress: SourceProgress | undefined,
): TallySnapshot | undefined {
  if (!progress) return undefined;
  const tally = atRest(tallyOf(progress.tally));
  const { moved, gone, conflicting, failed } = tally;
  return { ...tally, scanned: moved + gone + conflicting + failed };
}

/** What was under way when its process died is not any more. */
function atRest(tally: TallySnapshot): TallySnapshot {
  return { ...tally, nodes: tally.nodes.map((node) => ({ ...node, inflightKeys: 0 })) };
}

/** The counts of earlier attempts and of this one; where it stands, this one says. */
export function addCounts(before: TallySnapshot | undefined, now: TallySnapshot): TallySnapshot {
  if (!before) return now;
  const { progress, earlierShare, sourceKeysLeft, latestFailures, expectedKeys } = now;
  return {
    ...joinSnapshots([before, now]),
    progress,
    earlierShare,
    sourceKeysLeft,
    expectedKeys: expectedKeys === null ? null : before.scanned + expectedKeys,
    latestFailures: latestFailures.length > 0 ? latestFailures : before.latestFailures,
  };
}
