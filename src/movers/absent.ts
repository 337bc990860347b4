/**
 * What became of keys that the source no longer has when they are asked for.
 *
 * Mostly they expired or were deleted. But keys that were tried before may have left the source by
 * this run's own doing, which is told from their copy at the node; and where they did not, that
 * copy must not outlive the key.
 */
import type { Batch, Keys } from '../types.js';
import type { Asked, Aside } from './aside.js';
import type { OutcomeBuilder } from './outcome.js';
import { retryRefused } from './refused.js';

export interface AbsentOptions extends Pick<Aside, 'countPresent' | 'discard'> {
  /** What the cluster has under the keys that are moved can only have come from this source. */
  readonly ownsTarget: boolean;
}

export async function settleAbsent(
  options: AbsentOptions,
  batch: Batch,
  absent: Keys,
  outcome: OutcomeBuilder,
): Promise<void> {
  if (absent.count === 0) return;
  const { node, relisted, ours, doubt } = batch;
  const account = ({ count, refused }: Asked, as: 'moved' | 'repeated' | 'gone'): void => {
    outcome[as] += count;
    outcome.gone += absent.count - count - refused.length;
    // Who asks again must know as much.
    retryRefused(outcome, node, absent, refused, doubt);
  };
  if (doubt === 'moved' || (relisted && !ours)) {
    const asked = await options.countPresent(batch, absent);
    account(asked, doubt === 'moved' ? 'moved' : 'repeated');
  } else if (ours || (doubt === 'stored' && options.ownsTarget)) {
    account(await options.discard(batch, absent), 'gone');
  } else outcome.gone += absent.count;
}
