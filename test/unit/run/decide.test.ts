import { describe, expect, it } from 'vitest';
import { decide, type Situation } from '../../../src/run/decide.js';
import { PreflightError } from '../../../src/errors.js';
import { earlierState } from '../../support/earlier-state.js';

const situation: Situation = {
  replace: undefined,
  copy: false,
  follow: false,
  onlyKeys: false,
  isEmpty: false,
  clusterKeys: 5,
  earlier: undefined,
};
const empty = earlierState();
const occupied = earlierState({ replaceSaid: true, startedEmpty: false });

describe('without an earlier run', () => {
  it('follows only into a cluster that is empty, whatever is said', () => {
    for (const replace of [undefined, true, false]) {
      const following = { ...situation, copy: true, follow: true, replace };
      expect(() => decide(following)).toThrow('--follow begins with an empty one');
      expect(decide({ ...following, clusterKeys: 0 }).startedEmpty).toBe(true);
    }
  });

  it('overwrites nothing in a cluster that was empty, and keeps no list of keys', () => {
    expect(decide({ ...situation, clusterKeys: 0 })).toMatchObject({
      goesOn: false,
      replace: true,
      overwrites: false,
      startedEmpty: true,
      keepsMoved: false,
    });
  });

  it('must be told what to do with keys that are there', () => {
    expect(() => decide(situation)).toThrow(PreflightError);
    expect(() => decide(situation)).toThrow(/holds 5 keys: pass --replace .* or --no-replace/);
  });

  it('has nothing to ask where the sources are empty, and overwrites nothing then', () => {
    expect(decide({ ...situation, isEmpty: true })).toMatchObject({
      goesOn: false,
      overwrites: false,
    });
    expect(decide({ ...situation, isEmpty: true, clusterKeys: 0 }).replace).toBe(true);
  });

  it('keeps a list of keys where others may be overwritten', () => {
    expect(decide({ ...situation, replace: true })).toMatchObject({
      overwrites: true,
      keepsMoved: true,
    });
    expect(decide({ ...situation, replace: true, copy: true }).keepsMoved).toBe(false);
    expect(decide({ ...situation, replace: false }).keepsMoved).toBe(false);
  });
});

describe('after an earlier run', () => {
  it('goes on without being told, and overwrites nothing that may have been moved', () => {
    expect(decide({ ...situation, earlier: empty })).toMatchObject({
      goesOn: true,
      replace: true,
      startedEmpty: true,
      overwrites: false,
      keepsMoved: false,
    });
  });

  it('overwrites copies, because the source counts', () => {
    expect(decide({ ...situation, copy: true, earlier: empty }).overwrites).toBe(true);
  });

  it.each([undefined, true])('keeps to --replace and its list, said again: %s', (replace) => {
    expect(decide({ ...situation, replace, earlier: occupied })).toMatchObject({
      goesOn: true,
      replaceSaid: true,
      overwrites: true,
      keepsMoved: true,
    });
  });

  it('starts afresh when something else is said', () => {
    expect(decide({ ...situation, replace: true, earlier: empty })).toMatchObject({
      goesOn: false,
      overwrites: true,
      keepsMoved: true,
    });
    expect(decide({ ...situation, replace: false, earlier: empty })).toMatchObject({
      goesOn: false,
      overwrites: false,
    });
  });

  it('starts afresh when the cluster has been emptied', () => {
    expect(decide({ ...situation, clusterKeys: 0, earlier: occupied }).goesOn).toBe(false);
  });
});

describe('for some keys by name', () => {
  const some = { ...situation, onlyKeys: true };

  it('takes --replace at its word, whatever an earlier run moved', () => {
    expect(decide({ ...some, replace: true, earlier: occupied })).toMatchObject({
      goesOn: false,
      overwrites: true,
      recallsMoved: false,
    });
  });

  it('is careful when nothing is said', () => {
    expect(decide({ ...some, earlier: occupied })).toMatchObject({
      goesOn: true,
      overwrites: false,
    });
  });

  it.each([undefined, true])('keeps what is moved on the list of the job, said: %s', (replace) => {
    expect(decide({ ...some, replace, earlier: occupied }).keepsMoved).toBe(true);
    expect(decide({ ...some, replace, earlier: empty }).keepsMoved).toBe(false);
  });

  it('keeps no list of its own', () => {
    expect(decide({ ...some, replace: true }).keepsMoved).toBe(false);
  });
});
