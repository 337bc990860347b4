/**
 * What becomes of keys that the source does not have any more, and of keys that their node has already.
 * policy.ts decides what that means; here the servers are asked where that is the question.
 */
import { chosen, noKeys } from '../redis/frames.js';
import type { Batch, Copy, Keys } from '../types.js';
import type { OutcomeBuilder } from './outcome.js';
import { type JobPolicy, onAbsent, onDifferent, onEqual } from './policy.js';
import { retryRefused } from './refused-keys.js';
import type { SideChannel } from './side-channel.js';

export interface AbsentOptions extends Pick<SideChannel, 'present' | 'remove'> {
  readonly job: JobPolicy;
}

export interface ExistingOptions extends AbsentOptions, Pick<SideChannel, 'compare'> {}

/**
 * Keys that the source does not have any more.
 * @param sourceRun the run_id of the source that does not have them.
 */
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
  const isDeleted = meaning === 'delete';
  const { indexes, refused } = await (isDeleted
    ? options.remove(batch, absent)
    : options.present(batch, absent));
  if (isDeleted) {
    outcome[batch.listedBefore ? 'repeated' : 'gone'] += absent.count - refused.length;
    outcome.deleted += indexes.length;
    retryRefused(outcome, batch.node, absent, refused, batch.copy);
    return;
  }
  outcome.gone += absent.count - indexes.length - refused.length;
  // Who asks again must know as much; the rest is remembered with the batch.
  const copy: Copy | undefined = batch.copy.state === 'may-be-moved' ? batch.copy : undefined;
  retryRefused(outcome, batch.node, absent, refused, copy);
  if (meaning === 'moved-if-present') outcome.moved += indexes.length;
  else if (meaning === 'repeated-if-present') outcome.repeated += indexes.length;
  // What was stored is not known here, so nobody can tell whether it is untouched.
  else outcome.leaveBoth(chosen(absent, indexes), 'diverged');
}

/**
 * Keys that the node has already: equal ones are what an earlier try left; different ones stay as they
 * are, on both sides.
 * @returns those that may leave the source.
 */
export async function settleExisting(
  options: ExistingOptions,
  batch: Batch,
  existing: Keys,
  sourceRun: string,
  outcome: OutcomeBuilder,
): Promise<Keys> {
  const { job } = options;
  const compared = await options.compare(batch, existing);
  retryRefused(outcome, batch.node, existing, compared.refused);
  const gone = `${batch.node.address} had it, and lost it before it was compared`;
  outcome.retry(compared.missing, { class: 'changing', message: gone });
  await settleAbsent(options, batch, compared.absent, sourceRun, outcome);
  const different = onDifferent(job, batch);
  if (different === 'repeated') outcome.repeated += compared.different.count;
  else if (different === 'copied-again') {
    const message = 'it was written to since it was copied';
    const copy: Copy = { state: 'stored', sourceRun };
    outcome.retry(compared.different, { class: 'changing', message, copy });
  } else outcome.leaveBoth(compared.different, different);
  const equal = onEqual(job, batch);
  if (equal === 'done') return compared.equal;
  if (equal === 'repeated') outcome.repeated += compared.equal.count;
  else outcome.leaveBoth(compared.equal, equal);
  return noKeys;
}
