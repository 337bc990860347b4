/** Every combination of what a job was asked to do and what is known of a copy, and what it comes to. */
import { describe, expect, it } from 'vitest';
import {
  afterLostConnection,
  copyWhenListed,
  type JobPolicy,
  type Known,
  mayOverwrite,
  onAbsent,
  onDifferent,
  onEqual,
} from '../../../src/movers/policy.js';
import type { CopyState } from '../../../src/types.js';

const states: readonly CopyState[] = [
  'unknown',
  'may-be-stored',
  'stored',
  'may-be-moved',
  'moved',
];
const truths = [false, true] as const;

interface Case {
  readonly job: JobPolicy;
  readonly known: Known;
  /** Of the source that is asked now; the copy speaks of `run 1`. */
  readonly sourceRun: string;
}

/** All 5 × 2^4 × 3 × 3 of them. */
const cases: readonly Case[] = states.flatMap((state) =>
  truths.flatMap((listedBefore) =>
    truths.flatMap((replace) =>
      (['move', 'copy', 'follow'] as const).flatMap((mode) =>
        truths.flatMap((clusterStartedEmpty) =>
          truths.flatMap((onlySource) =>
            ['run 1', 'run 2', ''].map((sourceRun) => ({
              job: { replace, mode, clusterStartedEmpty, onlySource },
              known: { listedBefore, copy: { state, sourceRun: 'run 1' } },
              sourceRun,
            })),
          ),
        ),
      ),
    ),
  ),
);

/** What the source keeps, and no other one has, is copied again where everything is overwritten. */
const isCopiedAgain = ({ job, known }: Case): boolean =>
  job.mode === 'copy' && job.replace && job.onlySource && known.listedBefore;

const told = ({ job, known, sourceRun }: Case): string =>
  JSON.stringify({ ...job, ...known, sourceRun });

describe('the policy, over all combinations', () => {
  it('has gone through them', () => {
    expect(cases).toHaveLength(720);
  });

  it('overwrites unseen only what the owner gave up, and what was stored only untouched', () => {
    for (const one of cases) {
      const { state } = one.known.copy;
      if (one.job.mode === 'follow') {
        expect(mayOverwrite(one.job, one.known), told(one)).toBe('always');
        continue;
      }
      const isReplaced = one.job.replace && !one.known.listedBefore;
      const isOnlyOurs = isReplaced || one.job.clusterStartedEmpty;
      const isOurs = state === 'stored' || (state === 'may-be-stored' && isOnlyOurs);
      if (state === 'stored' && isCopiedAgain(one)) {
        expect(mayOverwrite(one.job, one.known), told(one)).toBe('always');
        continue;
      }
      const isGivenUp = state === 'unknown' && isReplaced;
      const expected = isOurs ? 'if-untouched' : isGivenUp ? 'always' : 'if-absent';
      expect(mayOverwrite(one.job, one.known), told(one)).toBe(expected);
    }
  });

  it('deletes a copy only if the same source deleted the key of a job that is alone with it', () => {
    for (const one of cases) {
      const { job, known, sourceRun } = one;
      const { state } = known.copy;
      const meaning = onAbsent(job, known, sourceRun);
      if (job.mode === 'follow') {
        expect(meaning, told(one)).toBe('delete');
        continue;
      }
      if (meaning === 'delete-if-untouched') {
        expect(
          job.mode === 'move' &&
            job.onlySource &&
            sourceRun === 'run 1' &&
            (state === 'stored' || (state === 'may-be-stored' && job.clusterStartedEmpty)),
          told(one),
        ).toBe(true);
        continue;
      }
      const isStored = state === 'stored' || state === 'may-be-stored';
      const expected = isStored
        ? sourceRun === 'run 1'
          ? 'gone'
          : 'moved-if-present'
        : {
            unknown: known.listedBefore ? 'repeated-if-present' : 'gone',
            'may-be-moved': 'moved-if-present',
            moved: 'repeated-if-present',
          }[state];
      expect(meaning, told(one)).toBe(expected);
    }
  });

  it('takes equal for done, except where the source has acknowledged the deletion', () => {
    for (const one of cases) {
      const { job, known } = one;
      const isRepeated = job.mode !== 'move' && known.listedBefore;
      const expected =
        known.copy.state === 'moved' ? 'recreated' : isRepeated ? 'repeated' : 'done';
      expect(onEqual(job, known), told(one)).toBe(expected);
    }
  });

  it('never lets one of two different values give way, and says why', () => {
    for (const one of cases) {
      const { job, known } = one;
      const why = {
        unknown: 'conflict',
        'may-be-stored': job.clusterStartedEmpty ? 'diverged' : 'conflict',
        stored: 'diverged',
        'may-be-moved': 'in-doubt',
        moved: 'recreated',
      }[known.copy.state];
      const isRepeated = job.mode === 'copy' && known.listedBefore;
      const isAgain = isCopiedAgain(one) || job.mode === 'follow';
      const expected = isAgain ? 'copied-again' : isRepeated ? 'repeated' : why;
      expect(onDifferent(job, known), told(one)).toBe(expected);
    }
  });
});

describe('after a lost connection', () => {
  it('knows no more than before, and less where the source was told to delete', () => {
    for (const state of states) {
      for (const mode of ['move', 'copy', 'follow'] as const) {
        const copy = { state, sourceRun: 'run 1' };
        const stored = state === 'unknown' ? 'may-be-stored' : state;
        expect(afterLostConnection({ mode }, copy, 'storing', 'run 2').state).toBe(stored);
        expect(afterLostConnection({ mode }, copy, 'deleting', 'run 2').state).toBe(
          mode === 'move' ? 'may-be-moved' : stored,
        );
      }
    }
    // What was known already speaks of the source's run of that time.
    const copy = { state: 'stored', sourceRun: 'run 1' } as const;
    expect(afterLostConnection({ mode: 'move' }, copy, 'storing', 'run 2')).toEqual(copy);
  });
});

it('knows of keys that are listed what their earlier listings have come to', () => {
  const move = { mode: 'move' } as const;
  expect(copyWhenListed(move, 'first')).toEqual({ state: 'unknown' });
  expect(copyWhenListed(move, 'moved-earlier')).toEqual({ state: 'may-be-moved' });
  expect(copyWhenListed(move, 'again')).toEqual({ state: 'moved' });
  for (const listing of ['first', 'moved-earlier', 'again'] as const) {
    expect(copyWhenListed({ mode: 'copy' }, listing)).toEqual({ state: 'unknown' });
    expect(copyWhenListed({ mode: 'follow' }, listing)).toEqual({
      state: listing === 'again' ? 'stored' : 'unknown',
    });
  }
});
