/**
 * What people are told while the pace of a run changes: a real tally, batch by batch, and a clock of the test's
 * own, so that what is shown can be compared with what then came to be.
 */
import { describe, expect, it } from 'vitest';
import { createTally } from '../../../src/engine/tally.js';
import { createSampler, type Sample } from '../../../src/watch/sampler.js';
import type { ServerHealth } from '../../../src/types.js';
import { sourceOf } from '../../support/batches.js';
import { endBatch, facts, unsteered, well } from '../../support/tallies.js';

const keyCount = 600_000;
const full = 60_000;
const tickMs = 50;

interface Course {
  /** How many keys a second end at this moment. */
  rate(second: number): number;
  /** The limit that is set then. */
  limit?(second: number): number | undefined;
  isPaused?(second: number): boolean;
  /** Keys that were under way when the limit changed, and come all at once. */
  burst?(second: number): number;
  /** How the node does. */
  health?(second: number): ServerHealth;
  /** The limit on the source's latency. */
  latencyLimit?(second: number): number | undefined;
}

interface Told {
  /** Seconds since the start. */
  readonly at: number;
  readonly sample: Sample;
}

/** A run whose clock the test moves. */
function begin() {
  let health = well;
  let nowMs = 0;
  const source = { ...sourceOf(keyCount), expectedKeys: keyCount, progress: 1 };
  const tally = createTally(source, 'move', { states: { of: () => health } });
  const { startedAtMs } = tally.snapshot();
  const sampler = createSampler(tally, facts, () => nowMs);
  const readAt = (second: number, next: ServerHealth): Sample => {
    health = next;
    nowMs = startedAtMs + Math.round(second * 1000);
    return sampler.read();
  };
  return { tally, readAt };
}

/** @returns what was shown five times a second, and when the last key had come. */
function play(course: Course): { told: readonly Told[]; endedAt: number } {
  const source = { ...sourceOf(keyCount), expectedKeys: keyCount, progress: 1 };
  const states = { of: () => course.health?.(second) ?? well };
  const tally = createTally(source, 'move', { states });
  let second = 0;
  const { startedAtMs } = tally.snapshot();
  const steering = {
    ...unsteered,
    get isPaused() {
      return course.isPaused?.(second) ?? false;
    },
    get keysPerSecond() {
      return course.limit?.(second);
    },
    get sourceLatencyMs() {
      return course.latencyLimit?.(second);
    },
  };
  const sampler = createSampler(
    tally,
    { ...facts, steering },
    () => startedAtMs + Math.round(second * 1000),
  );
  const told: Told[] = [];
  for (let tick = 1, moved = 0, owed = 0; moved < keyCount; tick++) {
    second = (tick * tickMs) / 1000;
    owed += (course.rate(second) * tickMs) / 1000 + (course.burst?.(second) ?? 0);
    const count = Math.min(keyCount - moved, Math.floor(owed));
    owed -= count;
    moved += count;
    if (count > 0) endBatch(tally, 'a:1', count, { moved: count, bytes: count * 64 });
    if (tick % 4 === 0) told.push({ at: second, sample: sampler.read() });
  }
  return { told, endedAt: second };
}

/** From two seconds after the change on, rate and time left are right. */
function expectRight(course: Course, changedAt: number, rate: number): void {
  const { told, endedAt } = play(course);
  const later = told.filter(({ at }) => at >= changedAt + 2 && at < endedAt - 1);
  expect(later.length).toBeGreaterThan(10);
  for (const { at, sample } of later) {
    const { keysPerSecond, leftMs } = sample.speed;
    expect(Math.abs(keysPerSecond - rate) / rate, `the rate at ${String(at)} s`).toBeLessThan(0.05);
    const leftSeconds = endedAt - at;
    const off = Math.abs((leftMs ?? 0) / 1000 - leftSeconds) / leftSeconds;
    expect(off, `the time left at ${String(at)} s`).toBeLessThan(0.2);
  }
}

const at = (told: readonly Told[], second: number): Sample => {
  const found = told.find((one) => one.at >= second);
  if (!found) throw new Error('it was over by then');
  return found.sample;
};

describe('the rate and the time left are right two seconds after', () => {
  it('the start', () => {
    expectRight({ rate: () => full }, 0.2, full);
  });

  it('a limit was set, whatever was still under way', () => {
    const isLimited = (second: number): boolean => second >= 4;
    expectRight(
      {
        rate: (second) => (isLimited(second) ? 10_000 : full),
        limit: (second) => (isLimited(second) ? 10_000 : undefined),
        burst: (second) => (Math.abs(second - 4.1) < 0.01 ? 12_000 : 0),
      },
      4,
      10_000,
    );
  });

  it('a limit was lifted', () => {
    const isLimited = (second: number): boolean => second < 6;
    expectRight(
      {
        rate: (second) => (isLimited(second) ? 5000 : 50_000),
        limit: (second) => (isLimited(second) ? 5000 : undefined),
      },
      6,
      50_000,
    );
  });

  it('a pause', () => {
    const isPaused = (second: number): boolean => second >= 4 && second < 30;
    expectRight({ rate: (second) => (isPaused(second) ? 0 : full), isPaused }, 30, full);
  });

  it('a stall, however long', () => {
    const stands = (second: number): boolean => second >= 4 && second < 40;
    expectRight(
      {
        rate: (second) => (stands(second) ? 0 : 45_000),
        burst: (second) => (Math.abs(second - 40) < 0.01 ? 12_000 : 0),
      },
      40,
      45_000,
    );
  });
});

describe('the rates of the nodes add up to that of the run', () => {
  const expectSum = (told: readonly Told[], from: number, to: number): void => {
    const shown = told.filter(({ at }) => at >= from && at < to);
    expect(shown.length).toBeGreaterThan(5);
    for (const { at, sample } of shown) {
      const [node] = sample.nodes;
      const rates = [node?.keysPerSecond, sample.sources[0]?.keysPerSecond];
      for (const rate of rates) {
        expect(rate, `the rate at ${String(at)} s`).toBeCloseTo(sample.speed.keysPerSecond);
      }
    }
  };

  it('after a pause', () => {
    const isPaused = (second: number): boolean => second >= 4 && second < 12;
    const { told } = play({ rate: (second) => (isPaused(second) ? 0 : full), isPaused });
    expectSum(told, 3, 16);
    expect(at(told, 13).nodes[0]?.keysPerSecond).toBeCloseTo(full, -4);
  });

  it('after another limit was set', () => {
    const { told } = play({
      rate: (second) => (second >= 4 ? 4000 : full),
      limit: (second) => (second >= 4 ? 4000 : undefined),
    });
    expectSum(told, 3, 8);
    expect(at(told, 4.6).nodes[0]?.keysPerSecond).toBeLessThan(4400);
  });
});

describe('while nothing moves', () => {
  it('says so, and promises no time', () => {
    const stands = (second: number): boolean => second >= 4 && second < 20;
    const { told } = play({ rate: (second) => (stands(second) ? 0 : full) });
    expect(at(told, 3.9).stall).toBeUndefined();
    const late = at(told, 10);
    expect(late.speed).toMatchObject({ keysPerSecond: 0, leftMs: undefined });
    expect(late.stall?.forMs).toBeGreaterThan(5800);
    expect(late.stall?.forMs).toBeLessThan(6200);
    expect(at(told, 22).stall).toBeUndefined();
  });

  it('because a node is away, promises no time as soon as that is seen, and names it', () => {
    const stands = (second: number): boolean => second >= 4 && second < 20;
    const away = { state: 'away', sinceMs: 4000, why: 'no answer' } as const;
    const { told } = play({
      rate: (second) => (stands(second) ? 0 : full),
      health: (second) => (stands(second) ? away : well),
    });
    for (const { sample } of told.filter(({ at }) => at > 5.2 && at < 20)) {
      expect(sample.speed.leftMs).toBeUndefined();
      expect(sample.stall?.waitingFor).toEqual(['a:1']);
    }
    expect(at(told, 5.2).stall?.forMs).toBeCloseTo(1200, -3);
    expect(at(told, 20.4).stall).toBeUndefined();
    expect(at(told, 21.6).speed.leftMs).toBeGreaterThan(0);
  });

  it('but fails, because its node is given up, promises no time', () => {
    const { tally, readAt } = begin();
    const givenUp: ServerHealth = { state: 'given-up', sinceMs: 4000, why: 'no answer' };
    for (let second = 0.2; second < 4; second += 0.2) {
      endBatch(tally, 'a:1', 10_000, { moved: 10_000 });
      readAt(second, well);
    }
    const told: Sample[] = [];
    for (let second = 4; second < 10; second += 0.2) {
      endBatch(tally, 'a:1', 100, { failed: 100 });
      const sample = readAt(second, givenUp);
      if (second > 5.8) told.push(sample);
    }
    expect(told.map(({ speed }) => speed.leftMs).filter((leftMs) => leftMs !== undefined)).toEqual(
      [],
    );
    // It waits for it still, where nothing comes to its end.
    expect(readAt(12, givenUp).stall?.waitingFor).toEqual(['a:1']);
  });

  it('names those it waits for in their order', () => {
    const { tally, readAt } = begin();
    for (const address of ['a:10', 'a:9']) endBatch(tally, address, 10, { moved: 10 });
    readAt(0.2, well);
    const away: ServerHealth = { state: 'away', sinceMs: 4000, why: 'no answer' };
    readAt(0.4, away);
    expect(readAt(4, away).stall?.waitingFor).toEqual(['a:9', 'a:10']);
  });

  it('says so, also when a limit on the latency begins meanwhile', () => {
    const stands = (second: number): boolean => second >= 4 && second < 12;
    const { told } = play({
      rate: (second) => (stands(second) ? 0 : full),
      latencyLimit: (second) => (second >= 6 ? 2 : undefined),
    });
    expect(at(told, 8).stall?.forMs).toBeGreaterThan(3800);
    expect(at(told, 8).speed.leftMs).toBeUndefined();
  });

  it('by order, tells for how long, and that it is no stall', () => {
    const isPaused = (second: number): boolean => second >= 4 && second < 20;
    const { told } = play({ rate: (second) => (isPaused(second) ? 0 : full), isPaused });
    const late = at(told, 10);
    expect(late.speed).toMatchObject({ keysPerSecond: 0, leftMs: undefined });
    expect(late.stall).toBeUndefined();
    expect(late.pausedMs).toBeCloseTo(5800, -3);
    expect(at(told, 22).pausedMs).toBeUndefined();
  });

  it('right after a limit was set, goes by the limit', () => {
    const { told, endedAt } = play({
      rate: (second) => (second >= 4 ? 10_000 : full),
      limit: (second) => (second >= 4 ? 10_000 : undefined),
    });
    const { leftMs } = at(told, 4.2).speed;
    expect((leftMs ?? 0) / 1000 / (endedAt - 4.2)).toBeCloseTo(1, 1);
  });

  it('does not take a run for stalled that has few keys', () => {
    const slow = (second: number): number => (Math.round(second / 0.05) % 80 === 0 ? 20 : 0);
    const source = sourceOf(100);
    const tally = createTally(source, 'move');
    const { startedAtMs } = tally.snapshot();
    let nowMs = startedAtMs;
    const sampler = createSampler(tally, facts, () => nowMs);
    const stalls: boolean[] = [];
    for (let second = 0.05; second < 60; second += 0.05) {
      nowMs = startedAtMs + second * 1000;
      if (slow(second) > 0) endBatch(tally, 'a:1', 1, { moved: 1 });
      stalls.push(sampler.read().stall !== undefined);
    }
    // Only before the first key nobody knows.
    expect(stalls.lastIndexOf(true)).toBeLessThan(90);
  });
});
