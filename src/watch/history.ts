/**
 * The run's course in a bounded number of points, from its start to now: when there are too many,
 * every second one is dropped and from then on half as many are noted.
 *
 * Counts are kept, not rates: a rate between two of them is right however many were dropped.
 */
import type { Sample } from './sampler.js';
import type { ServerHealth } from '../types.js';
import { formatBytes, formatCount, formatDuration } from '../format.js';

const defaultLimit = 1000;
const firstEveryMs = 1000;

/** Columns of equal length, as charts want them. Rates are those since the point before. */
export interface Course {
  readonly atMs: readonly number[];
  readonly keysPerSecond: readonly number[];
  readonly bytesPerSecond: readonly number[];
  /** The longest since the point before; null: not heard of. */
  readonly latencyMs: readonly (number | null)[];
  /** The same of the node that took longest to answer; null: nodes are not asked. */
  readonly nodeLatencyMs: readonly (number | null)[];
  /** How far the cluster was behind a source that is followed, the most since the point before; null: it is not. */
  readonly lagMs: readonly (number | null)[];
  /** Changed keys that waited to be copied, the most since the point before; null: all of them, or none is followed. */
  readonly changedKeys: readonly (number | null)[];
  /** The limits that held then; null: none. */
  readonly keysPerSecondLimit: readonly (number | null)[];
  readonly bytesPerSecondLimit: readonly (number | null)[];
  readonly latencyLimitMs: readonly (number | null)[];
}

export interface History {
  /** Notes a sample, if it is time to. */
  note(sample: Sample): void;
  course(): Course;
}

/** What counts is the worst of them since the point before. */
interface Worst {
  readonly latencyMs: number | null;
  readonly nodeLatencyMs: number | null;
  readonly lagMs: number | null;
  readonly changedKeys: number | null;
}

interface Point extends Worst {
  readonly atMs: number;
  readonly keys: number;
  readonly bytes: number;
  readonly limits: PointLimits;
}

interface PointLimits {
  readonly keysPerSecond: number | null;
  readonly bytesPerSecond: number | null;
  readonly latencyMs: number | null;
}

const noLimits: PointLimits = { keysPerSecond: null, bytesPerSecond: null, latencyMs: null };
const nothing: Worst = { latencyMs: null, nodeLatencyMs: null, lagMs: null, changedKeys: null };

export function createHistory(limit = defaultLimit): History {
  let points: Point[] = [];
  let everyMs = firstEveryMs;
  let worst = nothing;

  return {
    note({ atMs, snapshot, latencySeconds, nodes, facts }) {
      if (points.length === 0) {
        const start = { atMs: snapshot.startedAtMs, keys: 0, bytes: 0 };
        points.push({ ...start, limits: noLimits, ...nothing });
      }
      const follow = facts.follow?.();
      worst = worstOf(worst, {
        latencyMs: latencySeconds === undefined ? null : latencySeconds * 1000,
        nodeLatencyMs: nodes.reduce<number | null>(
          (longest, { load }) => most(longest, load?.latencyMs ?? null),
          null,
        ),
        lagMs: follow?.lagNowMs ?? null,
        changedKeys: follow?.changedKeys ?? null,
      });
      // Timers are a little early or late: a point is due when most of the time has gone by.
      if (atMs - (points.at(-1)?.atMs ?? 0) < everyMs * 0.9) return;
      const { keysPerSecond, bytesPerSecond, sourceLatencyMs } = facts.steering;
      const limits = {
        keysPerSecond: keysPerSecond ?? null,
        bytesPerSecond: bytesPerSecond ?? null,
        latencyMs: sourceLatencyMs ?? null,
      };
      points.push({ atMs, keys: snapshot.moved, bytes: snapshot.bytes, limits, ...worst });
      worst = nothing;
      if (points.length <= limit) return;
      points = thinned(points);
      everyMs *= 2;
    },
    course() {
      const rate = (at: number, read: (point: Point) => number): number => {
        const [before, now] = [points[at - 1], points[at]];
        if (!before || !now || now.atMs <= before.atMs) return 0;
        return Math.max(0, ((read(now) - read(before)) * 1000) / (now.atMs - before.atMs));
      };
      const places = points.map((_, at) => at).slice(1);
      return {
        atMs: places.map((at) => points[at]?.atMs ?? 0),
        keysPerSecond: places.map((at) => Math.round(rate(at, ({ keys }) => keys))),
        bytesPerSecond: places.map((at) => Math.round(rate(at, ({ bytes }) => bytes))),
        latencyMs: places.map((at) => rounded(points[at]?.latencyMs ?? null)),
        nodeLatencyMs: places.map((at) => rounded(points[at]?.nodeLatencyMs ?? null)),
        lagMs: places.map((at) => points[at]?.lagMs ?? null),
        changedKeys: places.map((at) => points[at]?.changedKeys ?? null),
        keysPerSecondLimit: places.map((at) => points[at]?.limits.keysPerSecond ?? null),
        bytesPerSecondLimit: places.map((at) => points[at]?.limits.bytesPerSecond ?? null),
        latencyLimitMs: places.map((at) => points[at]?.limits.latencyMs ?? null),
      };
    },
  };
}

/** The first point stays, and then every second one, with the worst of the two. */
function thinned(points: readonly Point[]): Point[] {
  return points.flatMap((point, at) => {
    if (at === 0) return [point];
    if (at % 2 === 1) return [];
    return [{ ...point, ...worstOf(points[at - 1] ?? nothing, point) }];
  });
}

function worstOf(one: Worst, other: Worst): Worst {
  return {
    latencyMs: most(one.latencyMs, other.latencyMs),
    nodeLatencyMs: most(one.nodeLatencyMs, other.nodeLatencyMs),
    lagMs: most(one.lagMs, other.lagMs),
    changedKeys: most(one.changedKeys, other.changedKeys),
  };
}

function most(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.max(one, other);
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 100) / 100;
}

/*
 * What happened to a run and when, found by comparing one snapshot with the one before: the marks in the page's
 * charts, and the list below them.
 */

type EventKind = 'steered' | 'trouble' | 'good' | 'progress';

export interface RunEvent {
  readonly atMs: number;
  readonly kind: EventKind;
  /** One clause. */
  readonly text: string;
}

export interface Events {
  note(sample: Sample): void;
  /** The latest ones, in order. */
  all(): readonly RunEvent[];
}

const mostEvents = 200;

/** What of a sample events are found by. */
interface Seen {
  readonly atMs: number;
  readonly isOver: boolean;
  readonly isPaused: boolean;
  readonly keyLimit: number | undefined;
  readonly byteLimit: number | undefined;
  readonly latencyLimitMs: number | undefined;
  /** That limit comes and goes with other clients of the source. */
  readonly isForOthers: boolean;
  readonly isAlone: boolean;
  readonly stalledFor: string | undefined;
  readonly servers: ReadonlyMap<string, ServerHealth>;
  readonly mover: string | undefined;
  readonly phase: string | undefined;
  readonly classes: ReadonlyMap<string, number>;
}

export function createEvents(): Events {
  let before: Seen | undefined;
  let events: RunEvent[] = [];
  return {
    note(sample) {
      const now = seenIn(sample);
      if (before) events = [...events, ...between(before, now)].slice(-mostEvents);
      before = now;
    },
    all: () => events,
  };
}

function seenIn({ atMs, status, facts, stall, nodes, sources, snapshot }: Sample): Seen {
  const { isPaused, keysPerSecond, bytesPerSecond, sourceLatencyMs, others } = facts.steering;
  const classes = new Map<string, number>();
  for (const { class: why, count } of snapshot.causes) {
    classes.set(why, (classes.get(why) ?? 0) + count);
  }
  return {
    atMs,
    isOver: status !== 'running',
    isPaused,
    keyLimit: keysPerSecond,
    byteLimit: bytesPerSecond,
    latencyLimitMs: sourceLatencyMs,
    isForOthers: others !== undefined,
    isAlone: others?.count === 0,
    stalledFor: stall && (stall.waitingFor.join(', ') || 'something'),
    servers: new Map([
      ...sources.map(({ name, health }) => [name, health] as const),
      ...nodes.map(({ address, health }) => [address, health] as const),
    ]),
    mover: facts.mover.measuring === true ? undefined : facts.mover.name,
    phase: facts.follow?.()?.phase,
    classes,
  };
}

function between(before: Seen, now: Seen): RunEvent[] {
  const { atMs } = now;
  const found: RunEvent[] = [];
  const add = (kind: EventKind, text: string): void => void found.push({ atMs, kind, text });
  if (now.isPaused !== before.isPaused && !now.isOver)
    add('steered', now.isPaused ? 'paused' : 'went on');
  if (now.keyLimit !== before.keyLimit) {
    add(
      'steered',
      limitText('keys', now.keyLimit, (limit) => `${formatCount(limit)} keys/s`),
    );
  }
  if (now.byteLimit !== before.byteLimit) {
    add(
      'steered',
      limitText('values', now.byteLimit, (limit) => `${formatBytes(limit)}/s`),
    );
  }
  if (now.latencyLimitMs !== before.latencyLimitMs) {
    add('steered', latencyLimitText(now));
  }
  if (now.stalledFor !== undefined && before.stalledFor === undefined) {
    add('trouble', `stalled: waiting for ${now.stalledFor}`);
  }
  if (
    now.stalledFor === undefined &&
    before.stalledFor !== undefined &&
    !now.isPaused &&
    !now.isOver
  ) {
    add('good', 'keys move again');
  }
  for (const [name, health] of now.servers) {
    const was = before.servers.get(name)?.state ?? 'ok';
    if (was === health.state) continue;
    if (health.state === 'away') add('trouble', `${name} is away`);
    if (health.state === 'given-up') add('trouble', `${name} is given up`);
    if (health.state !== 'ok' || was !== 'away') continue;
    const sinceMs = before.servers.get(name)?.sinceMs ?? atMs;
    add('good', `${name} is back after ${formatDuration(atMs - sinceMs)}`);
  }
  if (now.mover !== undefined && now.mover !== before.mover) {
    add('progress', `the mover is ${now.mover}`);
  }
  if (now.phase !== undefined && now.phase !== before.phase) add('progress', now.phase);
  for (const why of now.classes.keys()) {
    if (!before.classes.has(why)) add('trouble', `the first keys are left behind: ${why}`);
  }
  return found;
}

function latencyLimitText({ latencyLimitMs, isForOthers, isAlone }: Seen): string {
  if (isAlone && latencyLimitMs === undefined) return 'nobody else uses the source: full speed';
  const words = (limit: number): string => {
    return `${formatCount(limit)} ms${isForOthers ? ', since others use the source' : ''}`;
  };
  return limitText('source latency', latencyLimitMs, words);
}

function limitText(
  what: string,
  limit: number | undefined,
  words: (limit: number) => string,
): string {
  return limit === undefined ? `no limit on ${what} any more` : `limit on ${what}: ${words(limit)}`;
}
