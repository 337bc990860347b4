/**
 * Keys that are at their node, and at the source still: how they leave it, and what becomes of those that
 * don't. These go round again, with what is known of their copies, or stay there for good.
 */
import type { Connection } from '../../redis/connection.js';
import { chosen, keyAt, namesOf, slice } from '../../redis/keys.js';
import type { ErrorReply } from '../../redis/reply.js';
import type { Batch, Copy, Keys, Node } from '../../types.js';
import type { OutcomeBuilder } from '../outcome.js';
import { sourceRefusal } from '../refused-keys.js';
import { nodeCopy } from './node-copy.js';
import type { Kept, Removal, Removed, Ticket } from './removal.js';
import { sentValueOf } from './sent-values.js';
import type { StoreCommands } from './store-commands.js';

/** A key that changed in so many attempts is left at the source. */
export const lastAttempt = 12;

export interface KnownKeys {
  readonly keys: Keys;
  readonly copy: Copy;
}

/** How far some keys have come, for the case that a connection is lost. */
export class Progress {
  phase: 'storing' | 'deleting' = 'storing';
  /** Over which their node has acknowledged them. */
  acknowledgedOver: Connection | undefined;
}

/**
 * Deletes keys at the source that their node has acknowledged.
 * @param removal undefined: they don't leave it.
 * @param target over which the node has acknowledged them.
 */
export async function removeAcknowledged(
  removal: Removal | undefined,
  ticket: Ticket | undefined,
  keys: Keys,
  target: Connection,
  progress: Progress,
): Promise<Removed> {
  if (removal) progress.phase = 'deleting';
  progress.acknowledgedOver = target;
  return removal && ticket ? removal.remove(keys, ticket) : 'removed';
}

/**
 * What is at the node, and at the source still: it goes round again, or stays there.
 * @returns whether the source will refuse all further keys as well.
 */
export function keepAtSource(
  batch: Batch,
  outcome: OutcomeBuilder,
  why: Kept['why'],
  known: readonly KnownKeys[],
): boolean {
  const refusal = why === 'changed' ? undefined : sourceRefusal(why.text, 'to delete it');
  if (refusal?.refusal !== undefined) {
    // The source's trouble, and not the keys': they wait until it is over.
    for (const { keys, copy } of known) outcome.retry(keys, { ...refusal, copy });
    return false;
  }
  const message =
    why === 'changed'
      ? 'it was written to while it was moved'
      : `copied, but the source refused to delete it: ${why.text}`;
  for (const { keys, copy } of known) {
    if (batch.attempt < lastAttempt) {
      outcome.retry(keys, { class: 'changing', message, copy });
    } else {
      outcome.fail(keys, {
        class: why === 'changed' ? 'changing' : 'source',
        message: `${message}, ${String(lastAttempt + 1)} times`,
      });
    }
  }
  return why !== 'changed' && isForGood(why);
}

/** Rights do not come back during a run; what a busy or loading server refuses it may allow later. */
function isForGood({ text }: ErrorReply): boolean {
  return /^NOPERM|unknown command|ACL failure|can't run this command/i.test(text);
}

interface WordsOptions {
  commandsFor(node: Node, overwrite: boolean): StoreCommands;
}

/**
 * A value that travelled element by element and was written to meanwhile: its copy is taken back, and it
 * begins anew.
 * @param target over which the copy was watched since it was put there.
 */
export async function takeBack(
  options: WordsOptions,
  target: Connection,
  batch: Batch,
  outcome: OutcomeBuilder,
  keys: Keys,
): Promise<KnownKeys[]> {
  const commands = options.commandsFor(batch.node, false);
  const back: number[] = [];
  for (let index = 0; index < keys.count; index++) {
    const done = await nodeCopy(target, keyAt(namesOf(keys), index), commands).takeBack();
    if (done === 'done') back.push(index);
    else outcome.leaveBoth(slice(keys, index, index + 1), 'diverged');
  }
  return [{ keys: chosen(keys, back), copy: batch.copy }];
}

/**
 * Deletes copies of keys that stay at the source after all, as far as nobody has touched them.
 * @returns the keys whose copies are no more; of the others `outcome` tells.
 */
export async function withdraw(
  options: WordsOptions,
  target: Connection,
  batch: Batch,
  outcome: OutcomeBuilder,
  kept: readonly KnownKeys[],
): Promise<readonly KnownKeys[]> {
  const commands = options.commandsFor(batch.node, false);
  const withdrawn: KnownKeys[] = [];
  for (const { keys, copy } of kept) {
    for (let index = 0; index < keys.count; index++) {
      const one = slice(keys, index, index + 1);
      const sent = sentValueOf(keys, index);
      const done =
        sent && (await nodeCopy(target, keyAt(namesOf(keys), index), commands).discard(sent));
      if (done === 'done' || done === 'absent') withdrawn.push({ keys: one, copy });
      else outcome.leaveBoth(one, 'diverged');
    }
  }
  return withdrawn;
}
