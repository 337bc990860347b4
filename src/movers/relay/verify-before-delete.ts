/**
 * `--verify`: what a node has acknowledged is compared with what the source has, before any of it is
 * deleted there. A difference is a failure of its key, which stays at the source; unless the source
 * was written to meanwhile: then the copy is stale, and the key goes round again as it always does.
 *
 * Values in one piece are stored under temporary names, compared there, and only then given their own
 * ones. Under its own name a copy belongs to the clients of the cluster at once, and what they did to it
 * could not be told from damage on the way. And damage is never seen by anybody. Temporary names have a
 * deadline, so that a run that is killed leaves nothing for good.
 */
import { sideOf } from '../../compare/value.js';
import type { Connection } from '../../redis/connection.js';
import { chosen, joined, keyAt, keysBuilder, namesOf, noKeys } from '../../redis/frames.js';
import type { ConnectNode } from '../../redis/pool.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Batch, Keys, Node } from '../../types.js';
import { temporaryNameFor } from '../elements/writer.js';
import { mayOverwrite } from '../policy.js';
import { type Refused, settleRefused } from '../refused-keys.js';
import { type ExistingOptions, settleExisting } from '../settle.js';
import type { AskedNode } from '../side-channel.js';
import { deadlineIn, isNear } from './deadlines.js';
import { type Durability, shortfallOver, type StoreCommands } from './splice.js';
import { type Attempt, takeBack } from './attempt.js';

/** A key whose copy is not what the source has. */
export interface Difference {
  readonly index: number;
  /** One clause, without any value: `field "name" differs`. */
  readonly what: string;
}

export interface Confirmation {
  /**
   * Compares keys that the node has acknowledged.
   * @param isTemporary the names there are temporary: their deadlines do not count.
   * @throws ConnectionError when a side is lost.
   */
  differences(at: AskedNode, keys: Keys, isTemporary: boolean): Promise<readonly Difference[]>;
  close(): void;
}

export interface VerifyOptions extends ExistingOptions {
  readonly confirmation: Confirmation | undefined;
  commandsFor(node: Node, overwrite: boolean): StoreCommands;
  durabilityOf(node: Node): Durability | undefined;
}

/** What a node has acknowledged, and what it had already, with the same values. */
interface Acknowledged {
  readonly keys: Keys;
  readonly found: Keys;
}

/** What is right, and may leave the source. */
export interface Verified extends Acknowledged {
  /** What has to be moved again. */
  readonly again: Keys;
  /** Asking has ended the watch without which nothing may be deleted: all of it has to be moved again. */
  readonly isWatchOver: boolean;
}

/**
 * Compares what was stored, and gives what stands under temporary names its own ones.
 * @param connectNode lends connections over which no values pass.
 */
export async function verifyStaged(
  options: VerifyOptions,
  attempt: Attempt,
  { keys, found }: Acknowledged,
  stage: Stage,
  connectNode: ConnectNode,
): Promise<Verified> {
  const { batch, outcome } = attempt;
  const { node } = batch;
  const below = pick(keys, (index) => stage.has(keys, index));
  const above = pick(keys, (index) => !stage.has(keys, index));
  let one: Confirmed;
  let other: Confirmed;
  try {
    one = await confirmed(options, attempt, below, stage);
    other = await confirmed(options, attempt, above);
  } catch (error) {
    const discarding = connectNode(node).then((open) => stage.discard(open, batch, below));
    // Where the node is lost, their deadline ends them.
    await discarding.catch(() => undefined);
    throw error;
  }
  for (const { keys: some, what } of [...other.wrong, ...one.wrong]) differs(attempt, some, what);
  const again = joined([one.again, other.again]);
  const target = await connectNode(node);
  if (one.isWatchOver || other.isWatchOver) {
    await stage.discard(target, batch, below);
    return { keys: other.right, found, again: joined([again, one.right]), isWatchOver: true };
  }
  const { right } = one;
  await stage.discard(
    target,
    batch,
    joined([...one.wrong.map(({ keys: some }) => some), one.again]),
  );
  const overwrite = mayOverwrite(options.job, batch) === 'always';
  const renamed = await stage.rename(target, batch, right, overwrite);
  const rest = [...renamed.existing, ...renamed.late, ...renamed.refused.map(({ index }) => index)];
  await stage.discard(target, batch, chosen(right, rest));
  for (const index of renamed.late) differs(attempt, chosen(right, [index]), 'its deadline');
  settleRefused(outcome, node, right, renamed.refused);
  const { sourceRun } = attempt.connection;
  const existing = chosen(right, renamed.existing);
  const equal =
    existing.count === 0
      ? noKeys
      : await settleExisting(options, batch, existing, sourceRun, outcome);
  const verified = {
    keys: joined([other.right, chosen(right, renamed.renamed)]),
    found: joined([found, equal]),
    again,
    isWatchOver: false,
  };
  const durability = verified.keys.count > 0 ? options.durabilityOf(node) : undefined;
  const shortfall = durability && (await shortfallOver(target, durability));
  if (shortfall === undefined) return verified;
  const message = `${node.address}: ${shortfall}`;
  const unconfirmed = attempt.sent.withValues(verified.keys);
  outcome.retry(unconfirmed, { class: 'unavailable', message, copy: attempt.stored });
  return { ...verified, keys: noKeys };
}

/**
 * Compares what was stored under its own name; what is wrong is taken back.
 * @param attempt over whose target the copies are watched.
 */
export async function verifyInPlace(
  options: VerifyOptions,
  attempt: Attempt,
  { keys, found }: Acknowledged,
): Promise<Verified> {
  const { right, wrong, again, isWatchOver } = await confirmed(options, attempt, keys);
  for (const { keys: one, what } of wrong) {
    const [back] = await takeBack(options, attempt, one);
    differs(attempt, back?.keys ?? one, what);
  }
  return { keys: right, found, again, isWatchOver };
}

function differs({ batch, outcome }: Attempt, keys: Keys, what: string): void {
  const message = `its copy at ${batch.node.address} is not what the source has (${what}): the key was left at the source`;
  outcome.fail(keys, { class: 'differs', message });
}

interface Confirmed {
  /** What is as the source has it, and may leave there. */
  readonly right: Keys;
  /** What is not, though nobody wrote to the source; each key by itself. */
  readonly wrong: readonly { readonly keys: Keys; readonly what: string }[];
  /** What has to be moved again, because the source was written to, or nobody can tell. */
  readonly again: Keys;
  /** Asking has ended the watch without which nothing may be deleted: all of it has to be moved again. */
  readonly isWatchOver: boolean;
}

/** What consumer groups do touches no watched key: streams get another chance, so many times. */
const triesOfStreams = 12;

/**
 * @param stored what the node has acknowledged.
 * @param stage it stands there under temporary names, whose deadlines do not count.
 */
async function confirmed(
  { confirmation }: VerifyOptions,
  attempt: Attempt,
  stored: Keys,
  stage?: Stage,
): Promise<Confirmed> {
  const all = { right: stored, wrong: [], again: noKeys, isWatchOver: false };
  if (stored.count === 0 || !confirmation) return all;
  const there = stage ? stage.staged(stored) : stored;
  const found = await confirmation.differences(attempt.batch, there, stage !== undefined);
  if (found.length === 0) return all;
  const wrongAt = new Set(found.map(({ index }) => index));
  const different = pick(stored, (index) => wrongAt.has(index));
  const isStale = await wasWritten(attempt, different);
  return {
    right: pick(stored, (index) => !wrongAt.has(index)),
    wrong: isStale ? [] : found.map(({ index, what }) => ({ keys: chosen(stored, [index]), what })),
    again: isStale ? different : noKeys,
    isWatchOver: attempt.removal?.watches === true,
  };
}

/** Whether somebody wrote to the source since the values were asked for, as far as it tells. */
async function wasWritten(
  { connection: { source }, removal, ticket, batch }: Attempt,
  different: Keys,
): Promise<boolean> {
  if (!removal || !ticket) return false;
  if (removal.watches === true) {
    const [begun, result] = await Promise.all([source.call('MULTI'), source.call('EXEC')]);
    if (begun instanceof ErrorReply || result === null) return !(begun instanceof ErrorReply);
    return batch.attempt < triesOfStreams && (await anyStream(source, different));
  }
  if (ticket.state === undefined) return false;
  // As long as nobody else writes, the state is the same object.
  const now = removal.begin(batch.keys);
  await source.call('PING');
  return now.state !== ticket.state;
}

async function anyStream(source: Connection, keys: Keys): Promise<boolean> {
  const indexes = indexesOf(keys);
  const types = await Promise.all(indexes.map((index) => source.call('TYPE', keyAt(keys, index))));
  return types.includes('stream');
}

/** What became of keys whose values were found to be right; each is in one of these. */
interface Renamed {
  readonly renamed: readonly number[];
  /** The node has a key of that name, which may not be overwritten. */
  readonly existing: readonly number[];
  /** It does not have the deadline that was sent. */
  readonly late: readonly number[];
  readonly refused: readonly Refused[];
}

interface StagedKey {
  readonly name: Buffer;
  readonly deadlineMs: () => number;
}

/** The temporary names under which keys of one batch stand. */
export class Stage {
  readonly #known = new Map<string, StagedKey>();

  /**
   * The keys under temporary names.
   * @param deadlines of the keys, 0 for none; may be filled in later.
   */
  begin(keys: Keys, deadlines: Float64Array | undefined): Keys {
    for (let index = 0; index < keys.count; index++) {
      const name = temporaryNameFor(keyAt(namesOf(keys), index));
      const deadlineMs = (): number => deadlines?.[index] ?? 0;
      this.#known.set(keyAt(keys, index).toString('latin1'), { name, deadlineMs });
    }
    return this.staged(keys);
  }

  /** They get their own names in another way after all. */
  forget(keys: Keys): void {
    for (let index = 0; index < keys.count; index++) {
      this.#known.delete(keyAt(keys, index).toString('latin1'));
    }
  }

  /** Whether the key stands under a temporary name. */
  has(keys: Keys, index: number): boolean {
    return this.#known.has(keyAt(keys, index).toString('latin1'));
  }

  /** Keys that were begun with, under the same temporary names. */
  staged(keys: Keys): Keys {
    const names = keysBuilder(Math.max(1, keys.count));
    for (let index = 0; index < keys.count; index++) {
      names.addKey(this.#of(keys, index).name);
    }
    return { ...keys, names: names.take() };
  }

  /** Gives keys their own names. */
  async rename(
    target: Connection,
    { asking }: Pick<Batch, 'asking'>,
    keys: Keys,
    overwrite: boolean,
  ): Promise<Renamed> {
    const side = sideOf(target, { asking });
    const renamed: number[] = [];
    const existing: number[] = [];
    const late: number[] = [];
    const refused: Refused[] = [];
    const word = overwrite ? 'RENAME' : 'RENAMENX';
    await Promise.all(
      indexesOf(keys).map(async (index) => {
        const { name, deadlineMs: deadlineOf } = this.#of(keys, index);
        const deadlineMs = deadlineOf();
        const real = keyAt(namesOf(keys), index);
        if (deadlineMs === 0) void side.ask(['PERSIST', name]).catch(() => undefined);
        else if (!isNear(deadlineIn(await side.ask(['PTTL', name])), deadlineMs)) {
          late.push(index);
          return;
        }
        const reply = await side.ask([word, name, real]);
        if (reply instanceof ErrorReply) refused.push({ index, text: reply.text });
        else if (reply === (overwrite ? 'OK' : 1)) renamed.push(index);
        else if (reply === 0) existing.push(index);
        else refused.push({ index, text: 'ERR a malformed reply to RENAME' });
      }),
    );
    renamed.sort((one, other) => one - other);
    return { renamed, existing, late, refused };
  }

  /** Deletes what stands under temporary names. */
  async discard(target: Connection, { asking }: Pick<Batch, 'asking'>, keys: Keys): Promise<void> {
    const side = sideOf(target, { asking });
    await Promise.all(
      indexesOf(keys).map((index) => side.ask(['DEL', this.#of(keys, index).name])),
    );
  }

  #of(keys: Keys, index: number): StagedKey {
    const found = this.#known.get(keyAt(keys, index).toString('latin1'));
    if (!found) throw new Error('a key that was not stored under a temporary name');
    return found;
  }
}

function indexesOf({ count }: Keys): number[] {
  return [...Array(count).keys()];
}

function pick(keys: Keys, isWanted: (index: number) => boolean): Keys {
  return chosen(keys, indexesOf(keys).filter(isWanted));
}
