/**
 * Whether a run goes on with what an earlier one began, and what that means for keys that the
 * cluster has already.
 *
 * Where the cluster was empty at the first start, what is in it now came from this job: keys that
 * were moved, and some that were copied when the run was killed, still at the source too. A later
 * run overwrites none of them: equal ones are deleted at the source; different ones were written to
 * after the kill, and nobody can tell which side counts, so they are reported. A copying run may
 * overwrite them, because with it the source always counts.
 *
 * Where `--replace` was said for a cluster with keys of its own, that holds on, except for keys that
 * an earlier run has moved (journal/moved.ts). Who names single keys (`--only-keys`) and says
 * `--replace` means it, though.
 */
import { PreflightError } from '../errors.js';
import { formatCount } from '../format.js';
import type { Decision, JournalState } from '../journal/journal.js';

export interface Situation {
  /** `--replace` or `--no-replace`, if either was said. */
  readonly replace: boolean | undefined;
  readonly copy: boolean;
  readonly follow: boolean;
  /** The run is for some keys by name: what fails in it is not the whole job's end. */
  readonly onlyKeys: boolean;
  /** The sources hold no key, or none is named, so that there is nothing to decide. */
  readonly isEmpty: boolean;
  /** How many keys the cluster holds. */
  readonly clusterKeys: number;
  readonly earlier: JournalState | undefined;
}

export interface JobDecision extends Decision {
  /** Whether this run overwrites keys that the cluster has. */
  readonly overwrites: boolean;
  /** Whether moved keys have to be kept on file, for this job's next run. */
  readonly keepsMoved: boolean;
  /** Whether those of earlier runs are recalled from there, so that they are not overwritten. */
  readonly recallsMoved: boolean;
}

/** @throws PreflightError when `--replace` or `--no-replace` must be said. */
export function decide(situation: Situation): JobDecision {
  const { replace, copy, onlyKeys, isEmpty, clusterKeys, earlier } = situation;
  // An emptied cluster holds nothing of the earlier run, and who says something else wants it so.
  const said = replace ?? null;
  // Some keys by name are a part of the job that is on file, whatever is said for them.
  const isPart = onlyKeys && clusterKeys > 0 && keepsMoved(copy, earlier);
  const goesOn =
    earlier !== undefined &&
    clusterKeys > 0 &&
    (said === null || (said === earlier.replaceSaid && !onlyKeys));
  if (goesOn) {
    const { startedEmpty, replaceSaid } = earlier;
    return {
      goesOn,
      replaceSaid,
      replace: earlier.replace,
      startedEmpty,
      overwrites: earlier.replace && (copy || !(startedEmpty || onlyKeys)),
      keepsMoved: keepsMoved(copy, earlier),
      recallsMoved: keepsMoved(copy, earlier),
    };
  }
  if (clusterKeys > 0 && situation.follow) {
    throw new PreflightError(
      `${alreadyHolds(clusterKeys)}: --follow begins with an empty one, because it deletes there what the source deletes.`,
    );
  }
  if (clusterKeys > 0 && replace === undefined && !isEmpty) {
    throw new PreflightError(
      `${alreadyHolds(clusterKeys)}: pass --replace to overwrite those that the source has too, or --no-replace to leave them alone on both sides.`,
    );
  }
  const startedEmpty = clusterKeys === 0;
  // A key that comes to an empty source right now must not overwrite one of the cluster's.
  const replaces = replace ?? startedEmpty;
  const isNew = !onlyKeys && keepsMoved(copy, { replace: replaces, startedEmpty });
  return {
    goesOn,
    replaceSaid: said,
    replace: replaces,
    startedEmpty,
    // Who has written to a cluster that was empty at the start is a client of it; of copies the source counts.
    overwrites: replace ?? (copy && startedEmpty),
    keepsMoved: isNew || isPart,
    recallsMoved: isNew,
  };
}

/** How every sentence begins that says what keys of the cluster's own mean for an import. */
export function alreadyHolds(clusterKeys: number): string {
  return `The cluster already holds ${formatCount(clusterKeys)} ${clusterKeys === 1 ? 'key' : 'keys'}`;
}

function keepsMoved(
  copy: boolean,
  job: Pick<JournalState, 'replace' | 'startedEmpty'> | undefined,
): boolean {
  return !copy && job?.replace === true && !job.startedEmpty;
}
