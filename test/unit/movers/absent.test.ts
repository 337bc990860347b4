import { describe, expect, it } from 'vitest';
import { type AbsentOptions, settleAbsent } from '../../../src/movers/absent.js';
import { outcomeBuilder } from '../../../src/movers/outcome.js';
import type { Batch, Outcome } from '../../../src/types.js';
import { keysOf } from '../../fuzz/readers.js';
import { batchOf } from '../engine/given.js';

const keys = keysOf('a', 'b', 'c');

/** What becomes of three keys that the source lacks, of which the node has two. */
async function settle(
  batch: Partial<Batch>,
  options: Partial<AbsentOptions> = {},
  sourceRun = 'run 1',
): Promise<{ outcome: Outcome; asked: string[] }> {
  const asked: string[] = [];
  const ask = (what: string) => () => {
    asked.push(what);
    return Promise.resolve({ count: 2, refused: [] });
  };
  const outcome = outcomeBuilder('run 1');
  await settleAbsent(
    {
      ...{ ownsTarget: true, mayDiscard: true, ...options },
      ...{ countPresent: ask('count'), discard: ask('discard') },
    },
    batchOf(keys, { sourceRun: 'run 1', ...batch }),
    keys,
    sourceRun,
    outcome,
  );
  return { outcome: outcome.build(), asked };
}

it('takes keys that were never tried for gone, and asks nobody', async () => {
  const { outcome, asked } = await settle({});
  expect({ gone: outcome.gone, asked }).toEqual({ gone: 3, asked: [] });
});

it('counts those that may have left the source by its own doing', async () => {
  const { outcome, asked } = await settle({ doubt: 'moved' });
  expect(outcome).toMatchObject({ moved: 2, gone: 1 });
  expect(asked).toEqual(['count']);
  expect((await settle({ relisted: true })).outcome).toMatchObject({ repeated: 2, gone: 1 });
});

describe('copies of keys that were deleted at the source', () => {
  const stored: readonly Partial<Batch>[] = [{ ours: true }, { doubt: 'stored' }];

  it('are deleted where they are known to be stale', async () => {
    for (const batch of stored) {
      const { outcome, asked } = await settle(batch);
      expect({ gone: outcome.gone, asked }).toEqual({ gone: 3, asked: ['discard'] });
    }
  });

  it('are all there is of them when the source was restarted, or does not tell', async () => {
    for (const batch of stored) {
      for (const [before, after] of [
        ['run 1', 'run 2'],
        ['', ''],
        [undefined, 'run 1'],
      ] as const) {
        const { outcome, asked } = await settle({ ...batch, sourceRun: before }, {}, after);
        expect(outcome, `${String(before)} ${after}`).toMatchObject({ moved: 2, gone: 1 });
        expect(asked).toEqual(['count']);
      }
    }
  });

  it('stay where others may have stored them', async () => {
    for (const batch of stored) {
      const { outcome, asked } = await settle(batch, { mayDiscard: false });
      expect({ gone: outcome.gone, asked }).toEqual({ gone: 3, asked: [] });
    }
    const { asked } = await settle({ doubt: 'stored' }, { ownsTarget: false });
    expect(asked).toEqual([]);
  });
});

it('remembers which run a doubt was of when the node does not answer for its keys', async () => {
  const outcome = outcomeBuilder('run 2');
  const refusing = () => Promise.resolve({ count: 0, refused: [{ place: 0, text: 'LOADING' }] });
  await settleAbsent(
    { ownsTarget: true, mayDiscard: true, countPresent: refusing, discard: refusing },
    batchOf(keysOf('a'), { doubt: 'stored', sourceRun: 'run 1' }),
    keysOf('a'),
    'run 2',
    outcome,
  );
  const [retry] = outcome.build().retries;
  expect(retry).toMatchObject({ class: 'unavailable' });
  // Nothing new is said, so that what the batch knows goes on.
  expect(retry).not.toHaveProperty('sourceRun');
});
