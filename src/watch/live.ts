/** The run as JSON, while it lasts: the report so far, and what the page draws besides. */
import { buildReport, type Report, reportedFailure } from '../report.js';
import type { FollowStatus } from '../types.js';
import type { Course, Events, History, RunEvent } from './history.js';
import type { NodeSample, RunStatus, Sample, Sampler, SourceSample, Stall } from './sampler.js';

/** The report's own fields; its status is `running` until there is another. */
export type ReportSoFar = Omit<Report, 'status'> & { readonly status: RunStatus };

export interface Live {
  readonly atMs: number;
  readonly report: ReportSoFar;
  /** Share of the keys that were dealt with, moved or not, 0 to 1. */
  readonly progress: number;
  /** The part of it that was left behind. */
  readonly unmovedProgress: number;
  /** How many keys there are to be dealt with, about; null: nobody knows. */
  readonly expectedKeys: number | null;
  readonly sourceKeysLeft: number;
  /** Over the last second or two. */
  readonly keysPerSecond: number;
  readonly bytesPerSecond: number;
  /** From the start on, pauses left out. */
  readonly averageKeysPerSecond: number;
  /** Null until it is known. */
  readonly leftMs: number | null;
  /** Nothing has come to its end for some seconds; null: something has. */
  readonly stalled: Stall | null;
  readonly latencyMs: number | null;
  readonly measuring: boolean;
  readonly paused: boolean;
  /** For how long it has been paused this time; null: it is not. */
  readonly pausedMs: number | null;
  /** How the source is followed; null: it is not, or not yet. */
  readonly follow: FollowStatus | null;
  readonly limits: LimitsInForce;
  readonly nodes: readonly NodeSample[];
  readonly sources: readonly SourceSample[];
  /** The last hundred keys that were left behind, in order; the report has the first hundred. */
  readonly latestFailures: Report['failures'];
  readonly course: Course;
  /** What happened meanwhile, the latest two hundred. */
  readonly events: readonly RunEvent[];
}

export type Standing = Omit<Live, 'course' | 'events'>;

/** What holds the run back; null is no limit. */
export interface LimitsInForce {
  readonly keysPerSecond: number | null;
  readonly bytesPerSecond: number | null;
  readonly sourceLatencyMs: number | null;
  /** How many keys may be under way at the source for that. */
  readonly allowedKeys: number | null;
  /** For whom that limit is, where it comes and goes with them; a count of null: nobody knows. */
  readonly others: { readonly count: number | null } | null;
}

export function reportSoFar(sample: Sample): ReportSoFar {
  const { facts, snapshot, atMs, status } = sample;
  const { from, to, mode, version, mover, warnings } = facts;
  const identity = {
    from,
    to,
    mode,
    mover: mover.name,
    moverReason: mover.reason,
    version,
  };
  const follow = facts.follow?.();
  return { ...buildReport(snapshot, { ...identity, warnings, follow, endedAtMs: atMs }), status };
}

/** @param report the final one, once there is one. */
export function liveState(
  sampler: Sampler,
  history: History,
  events: Events,
  report: Report | undefined,
): Live {
  return { ...standing(sampler, report), course: history.course(), events: events.all() };
}

/** The same without course and events, which are most of it. */
export function standing(sampler: Sampler, report: Report | undefined): Standing {
  return standingOf(sampler.read(), report);
}

export function standingOf(sample: Sample, report: Report | undefined): Standing {
  const { snapshot, speed, latencySeconds, stall } = sample;
  const { steering } = sample.facts;
  const { conflicting, failed } = snapshot;
  const done = snapshot.moved + snapshot.gone + conflicting + failed;
  const progress = Math.min(1, snapshot.progress);
  return {
    atMs: sample.atMs,
    report: report ?? reportSoFar(sample),
    progress,
    unmovedProgress: done === 0 ? 0 : (progress * (conflicting + failed)) / done,
    expectedKeys: snapshot.expectedKeys === null ? null : Math.round(snapshot.expectedKeys),
    sourceKeysLeft: snapshot.sourceKeysLeft,
    keysPerSecond: speed.keysPerSecond,
    bytesPerSecond: speed.bytesPerSecond,
    averageKeysPerSecond: speed.averageKeysPerSecond,
    leftMs: speed.leftMs ?? null,
    stalled: stall ?? null,
    latencyMs: latencySeconds === undefined ? null : latencySeconds * 1000,
    measuring: sample.facts.mover.measuring ?? false,
    paused: steering.isPaused,
    pausedMs: sample.pausedMs ?? null,
    follow: sample.facts.follow?.() ?? null,
    limits: {
      keysPerSecond: steering.keysPerSecond ?? null,
      bytesPerSecond: steering.bytesPerSecond ?? null,
      sourceLatencyMs: steering.sourceLatencyMs ?? null,
      allowedKeys: steering.allowedKeys ?? null,
      others: steering.others ? { count: steering.others.count ?? null } : null,
    },
    nodes: sample.nodes,
    sources: sample.sources,
    latestFailures: snapshot.latestFailures.map(reportedFailure),
  };
}
