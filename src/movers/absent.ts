/**
 * What became of keys that the source no longer has when they are asked for.
 *
 * Mostly they expired or were deleted. But keys that were tried before may have left the source by
 * this run's own doing, which is told from their copy at the node; and where they did not, that
 * copy must not outlive the key.
 */
import type { Batch, Keys } from '../types.js';
import type { Aside } from './aside.js';
import type { OutcomeBuilder } from './outcome.js';

export interface AbsentOptions extends Pick<Aside, 'countPresent' | 'discard'> {
  /** The cluster held no keys before: what is there now came from this job. */
  readonly startedEmpty: boolean;
}

export async function settleAbsent(
  options: AbsentOptions,
  batch: Batch,
  absent: Keys,
  outcome: OutcomeBuilder,
): Promise<void> {
  if (absent.count === 0) return;
  const { node, relisted, ours, doubt } = batch;
  if (doubt === 'moved' || (relisted && !ours)) {
    const present = await options.countPresent(node, absent);
    if (doubt === 'moved') outcome.moved += present;
    else outcome.repeated += present;
    outcome.gone += absent.count - present;
    return;
  }
  if (ours || (doubt === 'stored' && options.startedEmpty)) await options.discard(node, absent);
  outcome.gone += absent.count;
}
