/**
 * One attempt to move keys over one connection: how they leave the source, and what becomes of those that
 * are at their node by now, and at the source still. These go round again, with what is known of their
 * copies, or stay there for good.
 */
import { importErrorOf } from '../../errors.js';
import type { Connection } from '../../redis/connection.js';
import { chosen, keyAt, namesOf, slice } from '../../redis/frames.js';
import type { ErrorReply } from '../../redis/reply.js';
import type { Batch, Copy, FailureClass, Keys, Node, Outcome } from '../../types.js';
import { outcomeBuilder } from '../outcome.js';
import { afterLostConnection, type JobPolicy } from '../policy.js';
import { sourceRefusal } from '../refused-keys.js';
import { nodeCopy } from './node-copy.js';
import { type RelayConnection, storedBy } from './relay-connection.js';
import type { Kept, Removal, Removed, Ticket } from './removal.js';
import { sentValueOf, SentValues } from './sent-values.js';
import type { StoreCommands } from './splice.js';

/** A key that changed in so many attempts is left at the source. */
export const lastAttempt = 12;

export interface KnownKeys {
  readonly keys: Keys;
  readonly copy: Copy;
}

export class Attempt {
  /** Worth nothing if a connection is lost before the keys are told to leave. */
  readonly outcome = outcomeBuilder();
  readonly sent = new SentValues();
  /** What is known of the copies of keys that are stored now. */
  readonly stored: Copy;
  /** The same once the node's replicas or disks have confirmed them, where that is asked for. */
  readonly confirmed: Copy;
  readonly ticket: Ticket | undefined;

  /**
   * Later writes to the source will be noticed from now on.
   * @param target a connection to the node.
   * @param removal undefined: keys don't leave the source.
   * @param isConfirmed whether the node's replicas or disks are asked before anything leaves the source.
   */
  constructor(
    readonly connection: RelayConnection,
    readonly target: Connection,
    readonly batch: Batch,
    readonly removal: Removal | undefined,
    isConfirmed: boolean,
  ) {
    const { sourceRun } = connection;
    this.stored = { state: 'stored', sourceRun, ...storedBy(target, batch) };
    this.confirmed = { ...this.stored, isDurable: isConfirmed };
    this.ticket = removal?.begin(batch.keys);
  }

  /**
   * Deletes keys at the source.
   *
   * Where the source is lost meanwhile, these keys go round again, and no others: only of them is it known
   * that their node has acknowledged them. What became of the batch's other keys stands.
   * @param acknowledged by their node.
   * @param given makes the same keys, each with what its node was given.
   */
  async remove(
    job: JobPolicy,
    acknowledged: Keys,
    given = (): Keys => this.sent.withValues(acknowledged),
  ): Promise<Removed | 'in-doubt'> {
    const { removal, ticket } = this;
    if (!removal || !ticket) return 'removed';
    try {
      return await removal.remove(acknowledged, ticket);
    } catch (error) {
      const { message } = importErrorOf(error);
      const known = this.#copyAfterLoss(job, 'deleting');
      const copy = { ...known, ...storedBy(this.target, this.batch) };
      this.outcome.retry(given(), { class: 'source', message, copy });
      return 'in-doubt';
    }
  }

  /** A connection was lost before the keys were told to leave: all of them go round again. */
  allAgain(job: JobPolicy, why: { class: FailureClass; message: string }): Outcome {
    const { batch, sent } = this;
    const outcome = outcomeBuilder();
    const copy = this.#copyAfterLoss(job, 'storing');
    outcome.retry(batch.keys.values ? batch.keys : sent.withValues(batch.keys), { ...why, copy });
    return outcome.build();
  }

  #copyAfterLoss(job: JobPolicy, phase: 'storing' | 'deleting'): Copy {
    return afterLostConnection(job, this.batch.copy, phase, this.connection.sourceRun);
  }
}

/**
 * What is at the node, and at the source still: it goes round again, or stays there.
 * @returns whether the source will refuse all further keys as well.
 */
export function keepAtSource(
  { batch, outcome }: Attempt,
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

interface CommandOptions {
  commandsFor(node: Node, overwrite: boolean): StoreCommands;
}

/**
 * A value that travelled element by element and was written to meanwhile: its copy is taken back, and it
 * begins anew.
 * @param attempt over whose target the copy was watched since it was put there.
 */
export async function takeBack(
  options: CommandOptions,
  { target, batch, outcome }: Attempt,
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
  options: CommandOptions,
  { target, batch, outcome }: Attempt,
  kept: readonly KnownKeys[],
): Promise<readonly KnownKeys[]> {
  const commands = options.commandsFor(batch.node, false);
  const withdrawn: KnownKeys[] = [];
  for (const { keys, copy } of kept) {
    for (let index = 0; index < keys.count; index++) {
      const one = slice(keys, index, index + 1);
      const sent = sentValueOf(keys, index);
      // Others of the batch have left the source, and are counted: what fails here fails for this key.
      const done =
        sent &&
        (await nodeCopy(target, keyAt(namesOf(keys), index), commands)
          .discard(sent)
          .catch(importErrorOf));
      if (done === 'done' || done === 'absent') withdrawn.push({ keys: one, copy });
      else outcome.leaveBoth(one, 'diverged');
    }
  }
  return withdrawn;
}
