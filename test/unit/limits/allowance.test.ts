import { describe, expect, it } from 'vitest';
import { type Allowance, createAllowance } from '../../../src/limits/limits.js';

function limited(limitMs: number): Allowance {
  const allowance = createAllowance();
  allowance.limit(limitMs);
  return allowance;
}

function noteOften(allowance: Allowance, longestMs: number, times: number): void {
  for (let nth = 0; nth < times; nth++) allowance.note(longestMs);
}

describe('what may be under way at a source', () => {
  it('is anything while nobody minds, whatever the probe says', () => {
    const allowance = createAllowance();
    noteOften(allowance, 1000, 10);
    expect([allowance.keys, allowance.pieceKeys, allowance.pageKeys]).toEqual([
      Infinity,
      512,
      Infinity,
    ]);
  });

  it('doubles until the first wait that is too long, and grows by little from then on', () => {
    const allowance = limited(5);
    noteOften(allowance, 1, 4);
    expect(allowance.keys).toBe(256);
    allowance.note(5);
    const after = allowance.keys;
    expect(after).toBeLessThan(256);
    noteOften(allowance, 1, 4);
    expect(allowance.keys).toBeGreaterThan(after * 1.1 ** 4);
    expect(allowance.keys).toBeLessThan(after * 1.2 ** 4);
  });

  it('stays as it is where waits are neither short nor too long', () => {
    const allowance = limited(5);
    noteOften(allowance, 4, 10);
    expect(allowance.keys).toBe(16);
  });

  it('shrinks to one key at most, in pieces of one', () => {
    const allowance = limited(5);
    noteOften(allowance, 1000, 40);
    expect([allowance.keys, allowance.pieceKeys, allowance.pageKeys]).toEqual([1, 1, 100]);
  });

  it('begins small when a limit is set in the middle of a run', () => {
    const allowance = createAllowance();
    allowance.limit(5);
    expect(allowance.keys).toBe(16);
    noteOften(allowance, 1, 3);
    allowance.limit(50);
    expect(allowance.keys).toBe(128);
    allowance.limit(undefined);
    expect(allowance.keys).toBe(Infinity);
  });
});
