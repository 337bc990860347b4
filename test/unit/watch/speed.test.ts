import { describe, expect, it } from 'vitest';
import { createSampler } from '../../../src/watch/sampler.js';
import { speedometer } from '../../../src/watch/speed.js';
import { at, endBatch, facts, newTally } from '../../support/tallies.js';

describe('the speed', () => {
  it('of a steady run is its rate, and the time left what remains of it', () => {
    const meter = speedometer();
    for (let seconds = 1; seconds < 40; seconds++) meter.read(at(seconds), seconds * 1000);
    const speed = meter.read(at(40), 40_000);
    expect(speed.keysPerSecond).toBeCloseTo(1000);
    expect(speed.bytesPerSecond).toBeCloseTo(64_000);
    expect(speed.leftMs).toBeCloseTo(60_000);
  });

  it('is the same however often somebody looks', () => {
    const meter = speedometer();
    for (let seconds = 0.2; seconds < 20; seconds += 0.2) meter.read(at(seconds), seconds * 1000);
    expect(meter.read(at(20), 20_000).keysPerSecond).toBeCloseTo(1000);
  });

  it('promises no time left before it can tell', () => {
    expect(speedometer().read(at(1), 1000).leftMs).toBeUndefined();
    expect(speedometer().read(at(60, { progress: 0.001 }), 60_000).leftMs).toBeUndefined();
    expect(speedometer().read(at(60, { progress: 0 }), 60_000).leftMs).toBeUndefined();
  });

  it('promises none while the run stands still, nor more than days', () => {
    const meter = speedometer();
    for (let seconds = 1; seconds <= 20; seconds++) meter.read(at(seconds), seconds * 1000);
    expect(meter.read(at(20), 21_000).leftMs).toBeGreaterThan(0);
    expect(meter.read(at(20), 90_000).leftMs).toBeUndefined();
    const slow = speedometer();
    expect(slow.read(at(1, { progress: 0.01 }), 3_000_000).leftMs).toBeGreaterThan(0);
    expect(speedometer().read(at(1, { progress: 0.01 }), 4_000_000).leftMs).toBeUndefined();
  });

  it('does not count what an earlier run had done as its own', () => {
    const meter = speedometer();
    const resumed = (seconds: number) =>
      meter.read(at(seconds, { progress: 0.8 + seconds / 500, earlierShare: 0.8 }), seconds * 1000);
    resumed(0.1);
    expect(resumed(1).leftMs).toBeUndefined();
    expect(resumed(10).leftMs).toBeCloseTo(90_000);
  });

  it('is none while the run is paused, and what it was before from then on', () => {
    const meter = speedometer();
    for (let seconds = 1; seconds <= 20; seconds++) meter.read(at(seconds), seconds * 1000);
    for (let seconds = 21; seconds <= 80; seconds++) {
      const paused = meter.read(at(20), seconds * 1000, true);
      expect(paused).toEqual({ keysPerSecond: 0, bytesPerSecond: 0, leftMs: undefined });
    }
    const speed = meter.read(at(21), 81_000);
    expect(speed.keysPerSecond).toBeCloseTo(1000);
    expect(speed.leftMs).toBeCloseTo(79_000);
  });

  it('fades to nothing when the run stalls, and never counts backwards', () => {
    const meter = speedometer();
    meter.read(at(10), 10_000);
    expect(meter.read(at(10), 70_000).keysPerSecond).toBeLessThan(10);
    expect(meter.read(at(0), 80_000).keysPerSecond).toBe(0);
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

  it('stays as it is once the run has ended', () => {
    const tally = newTally();
    const sampler = createSampler(tally, facts);
    sampler.noteLatency(0.002);
    sampler.end('complete');
    endBatch(tally, 'a:9', 10, { moved: 10 });
    expect(sampler.read()).toMatchObject({ status: 'complete', latencySeconds: 0.002, nodes: [] });
  });
});
