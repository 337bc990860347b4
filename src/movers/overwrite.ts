/** Whether a batch's keys may replace what its node has under their names. */
import type { Batch } from '../types.js';

/**
 * @param chosen what the run does with keys that the cluster has.
 * @returns false for keys that this job may have moved before: they may have been written anew at
 *   the source, and then the cluster's copy is all there is of what was moved.
 */
export function overwrites(chosen: boolean, { ours, relisted, doubt }: Batch): boolean {
  return ours || (chosen && !relisted && doubt !== 'moved');
}
