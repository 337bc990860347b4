/**
 * What became of keys that the source no longer has when they are asked for.
 *
 * Mostly they expired or were deleted. But keys that were tried before may have left the source by
 * this run's own doing, or because the source itself came back without them; then their copy at the
 * node is all there is of them. Only where neither can be is that copy deleted: a copy that outlives
 * its key is better than a key that is lost.
 */
import type { Batch, Keys } from '../types.js';
import type { Asked, Aside } from './aside.js';
import type { OutcomeBuilder } from './outcome.js';
import { retryRefused } from './refused.js';

export interface AbsentOptions extends Pick<Aside, 'countPresent' | 'discard'> {
  /** What the cluster has under the keys that are moved can only have come from this very run. */
  readonly ownsTarget: boolean;
  /** A copy that this run has stored may be deleted when its key was deleted at the source. */
  readonly mayDiscard: boolean;
}

/** @param sourceRun the run_id of the source that does not have them. */
export async function settleAbsent(
  options: AbsentOptions,
  batch: Batch,
  absent: Keys,
  sourceRun: string,
  outcome: OutcomeBuilder,
): Promise<void> {
  if (absent.count === 0) return;
  const { node, relisted, ours, doubt } = batch;
  const account = ({ count, refused }: Asked, as: 'moved' | 'repeated' | 'gone'): void => {
    outcome[as] += count;
    outcome.gone += absent.count - count - refused.length;
    // Who asks again must know as much; the rest is remembered with the batch.
    retryRefused(outcome, node, absent, refused, doubt === 'moved' ? doubt : undefined);
  };
  const present = async (as: 'moved' | 'repeated'): Promise<void> => {
    account(await options.countPresent(batch, absent), as);
  };
  if (doubt === 'moved') await present('moved');
  else if (relisted && !ours) await present('repeated');
  else if (!ours && !doubt) outcome.gone += absent.count;
  // It still had them before it was restarted, or another server took its place.
  else if (sourceRun === '' || sourceRun !== batch.sourceRun) await present('moved');
  else if (options.mayDiscard && (ours || options.ownsTarget)) {
    account(await options.discard(batch, absent), 'gone');
  } else outcome.gone += absent.count;
}
