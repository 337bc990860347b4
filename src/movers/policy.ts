/**
 * The only place that decides what may be overwritten, what an absent key means and what an equal or a
 * different one means. Pure functions of what the job was asked to do and of what this run knows of the
 * copy that a key may have at its node (`Copy` in types.ts):
 *
 *   copy           its node's key may be     absent at the source      equal         different
 *                  overwritten
 *   unknown        if --replace was passed   gone                      done          conflict
 *   may-be-stored  only if untouched, and    its copy is deleted, if   done          diverged, or
 *                  nobody else's             untouched                               conflict
 *   stored         only if untouched         its copy is deleted, if   done          diverged
 *                                            untouched
 *   may-be-moved   no                        moved, if the node has    done          in-doubt
 *                                            it
 *   moved          no                        counted already           recreated     recreated
 *
 * A run that follows its source copies each key again that was changed there, and deletes the copy of each
 * one that is not there any more. It begins with an empty cluster, in which nobody else writes until the
 * cutover: so all of it gives way.
 *
 * A copying run that overwrites, and is alone with its keys, copies again what the source has written since:
 * the source keeps its keys, so it counts.
 *
 * Clients may use the cluster while the rest still moves, so a copy belongs to them from the moment at
 * which it is stored. What this run stored may be replaced or deleted only as long as it is what this
 * run stored (relay/second-copy.ts). A key whose deletion the source has acknowledged was written again
 * when it is there again, even where its value happens to be the one that its copy has: a counter comes
 * by the same number many times. Only where the acknowledgement is in doubt does equal mean done.
 */
import type { Batch, Copy, Listing } from '../types.js';

/** What a job was asked to do, as far as it decides about single keys. */
export interface JobPolicy {
  /** `--replace`: keys that the cluster has already are overwritten. */
  readonly replace: boolean;
  readonly mode: 'move' | 'copy' | 'follow';
  /** What the cluster has under the keys that are moved can only have come from this run, or since. */
  readonly clusterStartedEmpty: boolean;
  /** No other source of the run may have the same keys. */
  readonly onlySource: boolean;
}

/** What of a batch the decisions rest on. */
export type Known = Pick<Batch, 'copy' | 'listedBefore'>;

/** `if-untouched`: only as long as the node has exactly what this run stored there. */
export type Overwrite = 'always' | 'if-absent' | 'if-untouched';

/** The source keeps its keys, and what it has counts: what was copied before is copied again. */
function copiesAgain({ mode, replace, onlySource }: JobPolicy, listedBefore: boolean): boolean {
  return mode === 'copy' && replace && onlySource && listedBefore;
}

/** Whether keys may replace what their node has under their names. */
export function mayOverwrite(job: JobPolicy, { copy, listedBefore }: Known): Overwrite {
  if (job.mode === 'follow') return 'always';
  if (copy.state === 'stored' && copiesAgain(job, listedBefore)) return 'always';
  const isGivenUp = job.replace && !listedBefore;
  switch (copy.state) {
    case 'stored':
      return 'if-untouched';
    case 'may-be-stored':
      // What looks as it was sent may have been there before, where the cluster holds keys of others.
      return isGivenUp || job.clusterStartedEmpty ? 'if-untouched' : 'if-absent';
    case 'moved':
    case 'may-be-moved':
      return 'if-absent';
    case 'unknown':
      return isGivenUp ? 'always' : 'if-absent';
  }
}

/** What becomes of keys that the source no longer has when it is asked for them. */
export type Absent =
  | 'gone'
  /** The copy is all there is of the key: it counts as moved if the node has it, else as gone. */
  | 'moved-if-present'
  /** It was counted when it was moved. */
  | 'repeated-if-present'
  /** It was deleted at the source after it was copied: so is the copy, if it is as it was stored. */
  | 'delete-if-untouched'
  /** So is the copy, if there is one. */
  | 'delete';

/** @param sourceRun the run_id of the source that does not have them; '' if it does not tell. */
export function onAbsent(job: JobPolicy, { copy, listedBefore }: Known, sourceRun: string): Absent {
  if (job.mode === 'follow') return 'delete';
  switch (copy.state) {
    case 'may-be-moved':
      return 'moved-if-present';
    case 'moved':
      return 'repeated-if-present';
    case 'unknown':
      return listedBefore ? 'repeated-if-present' : 'gone';
    case 'stored':
    case 'may-be-stored': {
      // It still had them before it was restarted, or another server took its place.
      if (sourceRun === '' || sourceRun !== copy.sourceRun) return 'moved-if-present';
      const isOurs = copy.state === 'stored' || job.clusterStartedEmpty;
      return job.mode === 'move' && job.onlySource && isOurs ? 'delete-if-untouched' : 'gone';
    }
  }
}

/** `done`: the key is where it should be; in move mode it may be deleted at the source. */
export type Equal = 'done' | 'repeated' | 'recreated';

/** What it means that both sides have a key with the same value. */
export function onEqual(job: JobPolicy, { copy, listedBefore }: Known): Equal {
  if (copy.state === 'moved') return 'recreated';
  return job.mode !== 'move' && listedBefore ? 'repeated' : 'done';
}

/** `copied-again`: it goes round again as stored, and is overwritten then. */
export type Different =
  | 'conflict'
  | 'recreated'
  /** Whether it had been moved is not known: it is reported as if it had. */
  | 'in-doubt'
  | 'diverged'
  | 'repeated'
  | 'copied-again';

/** What it means that both sides have a key, with values that differ, and neither may give way. */
export function onDifferent(job: JobPolicy, { copy, listedBefore }: Known): Different {
  if (job.mode === 'follow' || copiesAgain(job, listedBefore)) return 'copied-again';
  if (job.mode === 'copy' && listedBefore) return 'repeated';
  switch (copy.state) {
    case 'moved':
      return 'recreated';
    case 'may-be-moved':
      return 'in-doubt';
    case 'stored':
      return 'diverged';
    case 'may-be-stored':
      return job.clusterStartedEmpty ? 'diverged' : 'conflict';
    case 'unknown':
      return 'conflict';
  }
}

/**
 * What is known of copies after a connection was lost.
 * @param phase what was under way.
 * @param sourceRun the run_id of the source that had the keys.
 */
export function afterLostConnection(
  { mode }: Pick<JobPolicy, 'mode'>,
  copy: Copy,
  phase: 'storing' | 'deleting',
  sourceRun: string,
): Copy {
  if (phase === 'deleting' && mode === 'move') return { state: 'may-be-moved', sourceRun };
  return copy.state === 'unknown' ? { state: 'may-be-stored', sourceRun } : copy;
}

/**
 * What is known of the copies of keys that were just listed. What was begun with a key before has come to
 * rest by then, and what could not be moved is not listed again: so what is listed again was moved.
 */
export function copyWhenListed({ mode }: Pick<JobPolicy, 'mode'>, listing: Listing): Copy {
  if (mode === 'follow' && listing === 'again') return { state: 'stored' };
  if (mode !== 'move' || listing === 'first') return { state: 'unknown' };
  return { state: listing === 'again' ? 'moved' : 'may-be-moved' };
}
