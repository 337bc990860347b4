/**
 * What happened to a run and when, found by comparing one snapshot with the one before: the marks in the page's
 * charts, and the list below them.
 */
import type { ServerHealth } from '../types.js';
import type { Sample } from './sampler.js';
import { formatBytes, formatCount, formatDuration } from '../format.js';

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
