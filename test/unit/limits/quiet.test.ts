import { describe, expect, it } from 'vitest';
import { createAllowance } from '../../../src/limits/limits.js';
import { createQuiet } from '../../../src/limits/quiet.js';

describe('what clients of a source may have to wait by default', () => {
  it('is any time while nobody else is at work, and 2 ms while somebody is', () => {
    const allowance = createAllowance();
    const quiet = createQuiet(allowance, 'auto');
    expect(allowance.limitMs).toBeUndefined();
    quiet.noteOthers(3, 0);
    expect([allowance.limitMs, quiet.others]).toEqual([2, 3]);
  });

  it('is three times what they waited before the start, if that is more', () => {
    const allowance = createAllowance();
    const quiet = createQuiet(allowance, 'auto');
    quiet.noteOthers(1, 0);
    quiet.noteBefore(0.3);
    expect(allowance.limitMs).toBe(2);
    quiet.noteBefore(50);
    expect(allowance.limitMs).toBe(150);
  });

  it('holds while nobody can tell whether others are at work', () => {
    const allowance = createAllowance();
    createQuiet(allowance, 'auto').noteOthers(undefined, 0);
    expect(allowance.limitMs).toBe(2);
  });

  it('outlasts others for as long as they were seen', () => {
    const allowance = createAllowance();
    const quiet = createQuiet(allowance, 'auto');
    quiet.noteOthers(1, 1000);
    quiet.noteOthers(1, 4000);
    quiet.noteOthers(0, 6999);
    expect(allowance.limitMs).toBe(2);
    quiet.noteOthers(0, 7000);
    expect(allowance.limitMs).toBeUndefined();
    quiet.noteOthers(1, 8000);
    expect(allowance.limitMs).toBe(2);
  });

  it('outlasts them for ten seconds at most', () => {
    const allowance = createAllowance();
    const quiet = createQuiet(allowance, 'auto');
    quiet.noteOthers(1, 0);
    quiet.noteOthers(1, 60_000);
    quiet.noteOthers(0, 69_999);
    expect(allowance.limitMs).toBe(2);
    quiet.noteOthers(0, 70_000);
    expect(allowance.limitMs).toBeUndefined();
  });

  it('does not outlast somebody who just looked in', () => {
    const allowance = createAllowance();
    const quiet = createQuiet(allowance, 'auto');
    quiet.noteOthers(1, 0);
    quiet.noteOthers(0, 1000);
    expect(allowance.limitMs).toBeUndefined();
  });

  it('never brings a run to a standstill, while a bound that was given is kept at any price', () => {
    const allowance = createAllowance();
    const quiet = createQuiet(allowance, 'auto');
    quiet.noteOthers(1, 0);
    for (let nth = 0; nth < 50; nth++) allowance.note(1000);
    expect([allowance.keys, allowance.pieceKeys, allowance.removedKeys]).toEqual([128, 64, 128]);
    quiet.bind(5);
    for (let nth = 0; nth < 50; nth++) allowance.note(1000);
    expect([allowance.limitMs, allowance.keys]).toEqual([5, 1]);
  });

  it('is what was given from then on, whoever is at work', () => {
    const allowance = createAllowance();
    const quiet = createQuiet(allowance, 'off');
    quiet.noteOthers(1, 0);
    expect(allowance.limitMs).toBeUndefined();
    quiet.bind(7);
    expect(allowance.limitMs).toBe(7);
    quiet.bind('auto');
    expect(allowance.limitMs).toBe(2);
    quiet.bind('off');
    expect(allowance.limitMs).toBeUndefined();
  });

  it('holds nobody up who has to keep up with them, unless a bound was given', () => {
    const allowance = createAllowance();
    const quiet = createQuiet(allowance, 'auto');
    quiet.noteOthers(1, 0);
    quiet.keepUp(true);
    expect(allowance.limitMs).toBeUndefined();
    quiet.bind(5);
    expect(allowance.limitMs).toBe(5);
    quiet.bind('auto');
    quiet.keepUp(false);
    expect(allowance.limitMs).toBe(2);
  });

  it('is nobody while writes are held for a cutover', () => {
    const allowance = createAllowance();
    createQuiet(allowance, 'auto').noteOthers(1, 0);
    allowance.lift(true);
    expect([allowance.keys, allowance.removedKeys]).toEqual([Infinity, Infinity]);
    // Large values travel in one piece then.
    expect(allowance.limitMs).toBeUndefined();
    allowance.note(1000);
    allowance.lift(false);
    expect(allowance.keys).toBe(128);
  });
});
