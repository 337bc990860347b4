import { expect, it } from 'vitest';
import { outcomeBuilder } from '../../../src/movers/outcome.js';
import type { JobPolicy } from '../../../src/movers/policy.js';
import { settleAbsent } from '../../../src/movers/settle.js';
import type { Batch, Outcome } from '../../../src/types.js';
import { keysOf } from '../../support/keys.js';
import { batchOf } from '../../support/batches.js';

const keys = keysOf('a', 'b', 'c');
const job: JobPolicy = {
  replace: false,
  mode: 'move',
  clusterStartedEmpty: true,
  onlySource: true,
};

/** What becomes of three keys that the source lacks, of which the node has two. */
async function settle(
  batch: Partial<Batch>,
  sourceRun = 'run 1',
  mode: JobPolicy['mode'] = 'move',
): Promise<{ outcome: Outcome; asked: number; removed: number }> {
  let asked = 0;
  let removed = 0;
  const present = () => {
    asked++;
    return Promise.resolve({ indexes: [0, 2], refused: [] });
  };
  const remove = () => {
    removed++;
    return Promise.resolve({ indexes: [0, 2], refused: [] });
  };
  const outcome = outcomeBuilder();
  const options = { job: { ...job, mode }, present, remove };
  await settleAbsent(options, batchOf(keys, batch), keys, sourceRun, outcome);
  return { outcome: outcome.build(), asked, removed };
}

it('counts keys that were never tried as gone, and asks nobody', async () => {
  const { outcome, asked } = await settle({});
  expect({ gone: outcome.gone, asked }).toEqual({ gone: 3, asked: 0 });
});

it('counts those that may have left the source by its own doing', async () => {
  const { outcome } = await settle({ copy: { state: 'may-be-moved' } });
  expect(outcome).toMatchObject({ moved: 2, gone: 1 });
  const again = await settle({ listedBefore: true, copy: { state: 'moved' } });
  expect(again.outcome).toMatchObject({ repeated: 2, gone: 1 });
});

it('takes copies for all there is of keys whose source was restarted', async () => {
  const { outcome } = await settle({ copy: { state: 'stored', sourceRun: 'run 1' } }, 'run 2');
  expect(outcome).toMatchObject({ moved: 2, gone: 1 });
});

it('reports copies of deleted keys, where nobody can tell whether they were touched', async () => {
  const { outcome } = await settle({ copy: { state: 'stored', sourceRun: 'run 1' } });
  expect(outcome).toMatchObject({ moved: 0, gone: 1, conflicting: 2 });
  expect(outcome.failures.map((failure) => [failure.key.toString(), failure.class])).toEqual([
    ['a', 'diverged'],
    ['c', 'diverged'],
  ]);
});

it('deletes the copies where the source is followed, and counts them once', async () => {
  const first = await settle({}, 'run 1', 'follow');
  expect(first.outcome).toMatchObject({ gone: 3, repeated: 0, deleted: 2 });
  const again = await settle({ listedBefore: true }, 'run 1', 'follow');
  expect(again.outcome).toMatchObject({ gone: 0, repeated: 3, deleted: 2 });
  expect([again.asked, again.removed]).toEqual([0, 1]);
});

it('remembers what is known of the copies when the node does not answer for its keys', async () => {
  const outcome = outcomeBuilder();
  const refusing = () => Promise.resolve({ indexes: [], refused: [{ index: 0, text: 'LOADING' }] });
  const copy = { state: 'may-be-moved', sourceRun: 'run 1' } as const;
  const [one] = [keysOf('a')];
  const options = { job, present: refusing, remove: refusing };
  await settleAbsent(options, batchOf(one, { copy }), one, 'run 2', outcome);
  expect(outcome.build().retries).toMatchObject([{ class: 'unavailable', copy }]);
});
