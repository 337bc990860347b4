import { describe, expect, it } from 'vitest';
import { shareOut } from '../../../src/workers/spread-runs.js';

describe('shares of a limit', () => {
  it('are none where there is no limit', () => {
    expect(shareOut(undefined, [1, 2])).toEqual([null, null]);
  });

  it('are equal while all use theirs up, or nobody does', () => {
    expect(shareOut(900, [300, 310, 290])).toEqual([300, 300, 300]);
    expect(shareOut(900, [0, 0, 0])).toEqual([300, 300, 300]);
  });

  it('go to those who want more, from those who do not', () => {
    expect(shareOut(900, [100, 300, 300])).toEqual([125, 387.5, 387.5]);
  });

  it('leave enough to be seen to want more', () => {
    expect(shareOut(900, [0, 300, 300])).toEqual([75, 412.5, 412.5]);
  });

  it('never add up to more than the limit', () => {
    for (const rates of [[299, 0, 300], [269, 269, 300], [1000], [260, 269, 0, 300]]) {
      const sum = shareOut(900, rates).reduce<number>((total, share) => total + (share ?? 0), 0);
      expect(sum).toBeCloseTo(900);
    }
  });
});
