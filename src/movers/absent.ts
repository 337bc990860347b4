/**
 * What became of keys that the source no longer has when they are asked for. What that means is decided
 * in policy.ts; here the node is asked where that is the question.
 */
import { chosen } from '../redis/keys.js';
import type { Batch, Copy, Keys } from '../types.js';
import type { Aside } from './aside.js';
import type { OutcomeBuilder } from './outcome.js';
import { type JobPolicy, onAbsent } from './policy.js';
import { retryRefused } from './refused.js';

export interface AbsentOptions extends Pick<Aside, 'present'> {
  readonly job: JobPolicy;
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
  const meaning = onAbsent(options.job, batch, sourceRun);
  if (meaning === 'gone') {
    outcome.gone += absent.count;
    return;
  }
  const { places, refused } = await options.present(batch, absent);
  outcome.gone += absent.count - places.length - refused.length;
  // Who asks again must know as much; the rest is remembered with the batch.
  const copy: Copy | undefined = batch.copy.state === 'may-be-moved' ? batch.copy : undefined;
  retryRefused(outcome, batch.node, absent, refused, copy);
  if (meaning === 'moved-if-present') outcome.moved += places.length;
  else if (meaning === 'repeated-if-present') outcome.repeated += places.length;
  // What was stored is not known here, so nobody can tell whether it is untouched.
  else outcome.leaveBoth(chosen(absent, places), 'diverged');
}
