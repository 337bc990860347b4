import { describe, expect, it } from 'vitest';
import { createSampler } from '../../../src/watch/sampler.js';
import { createWindow, type Pace, speedometer } from '../../../src/watch/speed.js';
import { at, endBatch, facts, newTally } from '../../support/tallies.js';

const paused: Pace = {
  isPaused: true,
  keysPerSecond: undefined,
  bytesPerSecond: undefined,
  sourceLatencyMs: undefined,
};

describe('the speed', () => {
  it('of a steady run is its rate, and the time left what remains of it', () => {
    const meter = speedometer();
    for (let seconds = 1; seconds < 40; seconds++) meter.read(at(seconds), seconds * 1000);
    const speed = meter.read(at(40), 40_000);
    expect(speed.keysPerSecond).toBeCloseTo(1000);
    expect(speed.averageKeysPerSecond).toBeCloseTo(1000);
    expect(speed.bytesPerSecond).toBeCloseTo(64_000);
    expect(speed.leftMs).toBeCloseTo(60_000);
  });

  it('is the same however often somebody looks', () => {
    const meter = speedometer();
    for (let seconds = 0.02; seconds < 20; seconds += 0.02) meter.read(at(seconds), seconds * 1000);
    expect(meter.read(at(20), 20_000).keysPerSecond).toBeCloseTo(1000);
  });

  it('promises no time left before it can tell', () => {
    expect(speedometer().read(at(1), 1000).leftMs).toBeUndefined();
    expect(speedometer().read(at(60, { progress: 0.001 }), 60_000).leftMs).toBeUndefined();
    expect(speedometer().read(at(60, { progress: 0 }), 60_000).leftMs).toBeUndefined();
  });

  it('promises no more than days', () => {
    expect(speedometer().read(at(1, { progress: 0.01 }), 3_000_000).leftMs).toBeGreaterThan(0);
    expect(speedometer().read(at(1, { progress: 0.01 }), 4_000_000).leftMs).toBeUndefined();
  });

  it('does not count what an earlier run had done as its own', () => {
    const meter = speedometer();
    const resumed = (seconds: number) =>
      meter.read(at(seconds, { progress: 0.8 + seconds / 500, earlierShare: 0.8 }), seconds * 1000);
    resumed(0.1);
    expect(resumed(1).leftMs).toBeUndefined();
    for (let seconds = 2; seconds < 10; seconds++) resumed(seconds);
    expect(resumed(10).leftMs).toBeCloseTo(90_000);
  });

  it('is none while the run is paused, which its average does not count', () => {
    const meter = speedometer();
    for (let seconds = 1; seconds <= 20; seconds++) meter.read(at(seconds), seconds * 1000);
    for (let seconds = 21; seconds <= 80; seconds++) {
      const speed = meter.read(at(20), seconds * 1000, paused);
      expect(speed).toMatchObject({ keysPerSecond: 0, bytesPerSecond: 0, leftMs: undefined });
    }
    const { averageKeysPerSecond } = meter.read(at(21), 81_000);
    expect(averageKeysPerSecond).toBeGreaterThan(950);
  });

  it('of values is held by their limit too', () => {
    const meter = speedometer();
    const pace = { ...paused, isPaused: false };
    for (let seconds = 1; seconds <= 20; seconds++) meter.read(at(seconds), seconds * 1000, pace);
    const slower = { ...pace, bytesPerSecond: 6400 };
    // 80,000 keys of 64 bytes are left.
    expect(meter.read(at(20), 20_200, slower).leftMs).toBeCloseTo(800_000);
  });

  it('never counts backwards', () => {
    const meter = speedometer();
    meter.read(at(10), 10_000);
    expect(meter.read(at(0), 12_000).keysPerSecond).toBe(0);
  });
});

describe('a window', () => {
  it('tells how much a count has grown lately', () => {
    const window = createWindow();
    for (let second = 0; second <= 20; second++) window.note(second * 1000, second * 10);
    expect(window.grown(5000)).toBe(50);
    expect(window.rate(2000)).toBeCloseTo(0.01);
    window.beginAnew();
    window.note(21_000, 500);
    expect(window.rate(5000)).toBeCloseTo(0.3);
  });
});

describe('a sample', () => {
  it('tells nodes by address, each with its share and its own rate', () => {
    const tally = newTally();
    const startedAtMs = tally.snapshot().startedAtMs;
    const sampler = createSampler(tally, facts, () => startedAtMs + 10_000);
    endBatch(tally, 'a:10', 30, { moved: 30 });
    endBatch(tally, 'a:9', 10, { moved: 10 });
    const { nodes } = sampler.read();
    expect(nodes.map(({ address }) => address)).toEqual(['a:9', 'a:10']);
    expect(nodes.map(({ share }) => share)).toEqual([0.25, 0.75]);
    expect(nodes.map(({ keysPerSecond }) => keysPerSecond)).toEqual([1, 3]);
  });

  it('tells no latency that was heard long ago', () => {
    const tally = newTally();
    let nowMs = 100_000;
    const sampler = createSampler(tally, facts, () => nowMs);
    sampler.noteLatency(1.9);
    nowMs += 2000;
    expect(sampler.read().latencySeconds).toBe(1.9);
    nowMs += 4000;
    expect(sampler.read().latencySeconds).toBeUndefined();
  });

  it('stays as it is once the run has ended', () => {
    const tally = newTally();
    const sampler = createSampler(tally, facts);
    sampler.noteLatency(0.002);
    sampler.end('complete');
    endBatch(tally, 'a:9', 10, { moved: 10 });
    expect(sampler.read()).toMatchObject({ status: 'complete', latencySeconds: 0.002, nodes: [] });
  });
});
