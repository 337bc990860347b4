/** The run as JSON, while it lasts: the report so far, and what the page draws besides. */
import { buildReport, type Report, reportedFailure } from '../report.js';
import type { FollowStatus } from '../types.js';
import type { Course, History } from './history.js';
import type { NodeSample, RunStatus, Sample, Sampler } from './sampler.js';

/** The report's own fields; its status is `running` until there is another. */
export type ReportSoFar = Omit<Report, 'status'> & { readonly status: RunStatus };

export interface Live {
  readonly atMs: number;
  readonly report: ReportSoFar;
  readonly progress: number;
  readonly sourceKeysLeft: number;
  readonly keysPerSecond: number;
  readonly bytesPerSecond: number;
  /** Null until it is known. */
  readonly leftMs: number | null;
  readonly latencyMs: number | null;
  readonly measuring: boolean;
  readonly paused: boolean;
  /** How the source is followed; null: it is not, or not yet. */
  readonly follow: FollowStatus | null;
  readonly limits: Limits;
  readonly nodes: readonly NodeSample[];
  /** The last hundred keys that were left behind, in order; the report has the first hundred. */
  readonly latestFailures: Report['failures'];
  readonly course: Course;
}

export type Standing = Omit<Live, 'course'>;

/** What holds the run back; null is no limit. */
interface Limits {
  readonly keysPerSecond: number | null;
  readonly bytesPerSecond: number | null;
  readonly sourceLatencyMs: number | null;
  /** How many keys may be under way at the source for that. */
  readonly allowedKeys: number | null;
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
export function liveState(sampler: Sampler, history: History, report: Report | undefined): Live {
  return { ...standing(sampler, report), course: history.course() };
}

/** The same without the course, which is most of it. */
export function standing(sampler: Sampler, report: Report | undefined): Standing {
  const sample = sampler.read();
  const { snapshot, speed, latencySeconds } = sample;
  const { steering } = sample.facts;
  return {
    atMs: sample.atMs,
    report: report ?? reportSoFar(sample),
    progress: Math.min(1, snapshot.progress),
    sourceKeysLeft: snapshot.sourceKeysLeft,
    keysPerSecond: speed.keysPerSecond,
    bytesPerSecond: speed.bytesPerSecond,
    leftMs: speed.leftMs ?? null,
    latencyMs: latencySeconds === undefined ? null : latencySeconds * 1000,
    measuring: sample.facts.mover.measuring ?? false,
    paused: steering.isPaused,
    follow: sample.facts.follow?.() ?? null,
    limits: {
      keysPerSecond: steering.keysPerSecond ?? null,
      bytesPerSecond: steering.bytesPerSecond ?? null,
      sourceLatencyMs: steering.sourceLatencyMs ?? null,
      allowedKeys: steering.allowedKeys ?? null,
    },
    nodes: sample.nodes,
    latestFailures: snapshot.latestFailures.map(reportedFailure),
  };
}
