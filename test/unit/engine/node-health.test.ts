import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nodeHealth } from '../../../src/engine/node-health.js';
import type { Logger } from '../../../src/types.js';

const logged: string[] = [];
const keep = (_: object, message: string): void => {
  logged.push(message);
};
const logger: Logger = { debug: keep, info: keep, warn: keep, error: keep };

beforeEach(() => {
  logged.length = 0;
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the health of nodes', () => {
  it('delays further tries more and more, but never long', () => {
    const health = nodeHealth(60_000, 16, logger);
    const delays = Array.from({ length: 12 }, (_, nth) => health.troubled('a', 'unavailable', nth));
    expect(delays.slice(0, 7)).toEqual([50, 100, 200, 400, 800, 1600, 2000]);
    expect(Math.max(...delays.map(Number))).toBe(2000);
  });

  it('suspends a node that refuses, until something gets through', () => {
    const health = nodeHealth(60_000, 16, logger);
    expect(health.isSuspended('a')).toBe(false);
    health.troubled('a', 'oom', 0);
    expect([health.isSuspended('a'), health.isSuspended('b')]).toEqual([true, false]);
    health.troubled('a', 'oom', 1);
    health.succeeded('a');
    health.succeeded('a');
    expect(health.isSuspended('a')).toBe(false);
    expect(logged).toEqual(['a refuses keys: left alone for now', 'a takes keys again']);
  });

  it('gives a node up that has refused for too long without a break', () => {
    const health = nodeHealth(60_000, 16, logger);
    health.troubled('a', 'unavailable', 0);
    vi.advanceTimersByTime(59_999);
    expect(health.troubled('a', 'unavailable', 3)).toBe(400);
    health.succeeded('a');
    vi.advanceTimersByTime(60_000);
    expect(health.troubled('a', 'unavailable', 0)).toBe(50);
    vi.advanceTimersByTime(60_000);
    expect(health.troubled('a', 'oom', 0)).toBeUndefined();
    expect([health.isGivenUp('a'), health.isSuspended('a')]).toEqual([true, false]);
    expect(health.isGivenUp('b')).toBe(false);
  });

  it('gives up at once where nothing may be waited for', () => {
    expect(nodeHealth(0, 16, logger).troubled('a', 'unavailable', 0)).toBeUndefined();
  });

  it('sends keys round for reasons of their own at once, and so many times', () => {
    const health = nodeHealth(60_000, 3, logger);
    const tries = [0, 1, 2, 3].map((attempt) => health.troubled('a', 'redirected', attempt));
    expect(tries).toEqual([0, 100, 200, undefined]);
    expect([health.isSuspended('a'), health.isGivenUp('a')]).toEqual([false, false]);
  });
});
