import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nodeHealth, refused } from '../../../src/engine/node-health.js';
import type { Gone } from '../../../src/engine/server-states.js';
import { batchOf, someKeys } from '../../support/batches.js';

const logged: string[] = [];
const keep = (address: string, { sentence }: Gone): void => {
  logged.push(sentence ?? `(${address})`);
};
const states = {
  went: keep,
  gaveUp: keep,
  isBack: (address: string) => void logged.push(`${address} is back`),
};
const healthOf = (retryForMs: number, retryLimit = 16) => {
  const owners = () => ['a', 'b'];
  const health = nodeHealth({ retryForMs, retryLimit, states, owners });
  return {
    ...health,
    troubled: (address: string, why: 'unavailable' | 'oom' | 'redirected', attempt: number) =>
      health.troubled(address, why, attempt, 'no'),
    said: (...told: Parameters<typeof health.troubled>) => health.troubled(...told),
  };
};

beforeEach(() => {
  logged.length = 0;
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the health of nodes', () => {
  it('delays further tries more and more, but never long', () => {
    const health = healthOf(60_000, 16);
    const delays = Array.from({ length: 12 }, (_, nth) => health.troubled('a', 'unavailable', nth));
    expect(delays.slice(0, 7)).toEqual([50, 100, 200, 400, 800, 1600, 2000]);
    expect(Math.max(...delays.map(Number))).toBe(2000);
  });

  it('suspends a node that refuses, until something gets through', () => {
    const health = healthOf(60_000, 16);
    expect(health.isSuspended('a')).toBe(false);
    health.troubled('a', 'oom', 0);
    expect([health.isSuspended('a'), health.isSuspended('b')]).toEqual([true, false]);
    health.troubled('a', 'oom', 1);
    health.succeeded('a');
    health.succeeded('a');
    expect(health.isSuspended('a')).toBe(false);
    expect(logged.slice(-2)).toEqual(['a is back', 'The cluster is back']);
  });

  it('gives a node up that has refused for too long without a break', () => {
    const health = healthOf(60_000, 16);
    health.troubled('a', 'unavailable', 0);
    vi.advanceTimersByTime(59_999);
    expect(health.troubled('a', 'unavailable', 3)).toBe(400);
    health.succeeded('a');
    vi.advanceTimersByTime(60_000);
    expect(health.troubled('a', 'unavailable', 0)).toBe(50);
    vi.advanceTimersByTime(60_000);
    expect(health.troubled('a', 'oom', 0)).toBeUndefined();
    expect(health.isSuspended('a')).toBe(false);
    expect(health.givenUpFor('b')).toBeUndefined();
    // All that comes to it from now on stays for what it said itself.
    expect(health.givenUpFor('a')).toMatchObject({ why: 'oom', message: 'no' });
    const outcome = refused(batchOf(someKeys(2)), { why: 'oom', message: 'OOM, no room.' });
    expect(outcome.failures.map((failure) => [failure.class, failure.message])).toEqual([
      ['oom', 'OOM, no room; its node is given up'],
      ['oom', 'OOM, no room; its node is given up'],
    ]);
  });

  it('gives up at once where nothing may be waited for', () => {
    expect(healthOf(0).troubled('a', 'unavailable', 0)).toBeUndefined();
  });

  it('sends keys round for reasons of their own at once, and so many times', () => {
    const health = healthOf(60_000, 3);
    const tries = [0, 1, 2, 3].map((attempt) => health.troubled('a', 'redirected', attempt));
    expect(tries).toEqual([0, 100, 200, undefined]);
    expect([health.isSuspended('a'), health.givenUpFor('a')]).toEqual([false, undefined]);
  });

  it('hears nothing more of a node that it has given up, whatever comes back from there', () => {
    const health = healthOf(0);
    health.troubled('a', 'unavailable', 0);
    logged.length = 0;
    health.succeeded('a');
    expect(logged).toEqual([]);
    expect(health.givenUpFor('a')).toBeDefined();
  });

  it('stops the run when no node that owns slots can be used', () => {
    const health = healthOf(60_000);
    health.troubled('a', 'unavailable', 0);
    health.troubled('b', 'unavailable', 0);
    vi.advanceTimersByTime(60_000);
    expect(() => health.troubled('a', 'unavailable', 9)).toThrow(
      'The cluster has been down for 60 s (no): bring it up, then run the same command again.',
    );
  });

  it('does so too when the nodes say that the cluster is down, and says it once', () => {
    const health = healthOf(60_000);
    const answer = 'b answered: CLUSTERDOWN The cluster is down';
    health.said('a', 'unavailable', 0, 'connection refused');
    health.said('b', 'unavailable', 0, answer);
    expect(logged).toEqual([
      'a refuses keys: left alone for now',
      'The cluster is down: its keys wait at the source',
      '(b)',
    ]);
    health.succeeded('c');
    vi.advanceTimersByTime(60_000);
    expect(() => health.said('a', 'unavailable', 9, 'connection refused')).toThrow(/CLUSTERDOWN/);
  });

  it('gives full nodes up one by one', () => {
    const health = healthOf(0);
    expect(health.troubled('a', 'oom', 0)).toBeUndefined();
    expect(health.troubled('b', 'oom', 0)).toBeUndefined();
  });
});
