/**
 * Keys that are at their node through this run, and at the source still: somebody wrote there before they
 * could be deleted, or a connection was lost. Clients may use the cluster already, so the copy may be
 * theirs by now. Under WATCH the source's value is read again, and compared with what the node was given:
 *
 *   as it was   nothing is copied: the key is deleted at the source, and whatever clients did to the
 *               cluster's copy stays
 *   changed     it replaces the cluster's copy, in a transaction that first compares that with what was
 *               stored; if clients changed it too, both stay, and are reported
 *   gone        the cluster's copy is deleted, in a transaction of the same kind
 *
 * Where it is not known what the node was given (a giant value, say), both sides are compared, and only
 * what is equal goes on.
 */
import { compareValue, sideOf } from '../../compare/value.js';
import { importErrorOf } from '../../errors.js';
import { askAt } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { chosen, frame, keyAt, namesOf } from '../../redis/frames.js';
import { ErrorReply, type Reply } from '../../redis/reply.js';
import type { Copy, Keys, Node, Retry } from '../../types.js';
import { temporaryNameFor } from '../elements/writer.js';
import { mayOverwrite, onAbsent, onDifferent, onEqual } from '../policy.js';
import { retryRefused, settleSourceRefusal, settleVerdict, verdictOf } from '../refused-keys.js';
import { settleAbsent } from '../settle.js';
import { askDeadlines, isNear } from './deadlines.js';
import { shortfallOver } from './splice.js';
import type { Attempt, KnownKeys } from './attempt.js';
import { type Done, nodeCopy, type NodeCopy } from './node-copy.js';
import { isRewritable, type PayloadRewrite, rewritten } from './payload-rewrite.js';
import type { Kept } from './removal.js';
import { type SentValue, sentValueOf, valueRecord, withSentValues } from './sent-values.js';
import type { StoreOptions } from './store.js';

export type SecondCopyOptions = Pick<
  StoreOptions,
  'job' | 'compare' | 'present' | 'remove' | 'commandsFor' | 'durabilityOf' | 'shapes' | 'rewrite'
> & {
  /** What replaces a copy must be compared as well. */
  readonly confirmation: unknown;
  /** Which data set answers at a node, by `readDataset`. @throws ConnectionError when none does. */
  datasetOf(node: Node): Promise<string>;
};

export interface MovedAgain {
  /** Keys that the source has still, with what their node was given, by what is known of their copies. */
  readonly kept: readonly KnownKeys[];
  readonly why: Kept['why'] | undefined;
}

/** A key that may leave the source, and what its node was given of it. */
interface Leaving {
  readonly index: number;
  readonly record: Buffer | undefined;
  readonly copy: Copy;
}

/** Why keys go round again. */
type Why = Pick<Retry, 'class' | 'message'>;

/** What the source has now. */
type Reading = SentValue | 'absent' | ErrorReply;

/**
 * Where the source or the node is lost, each key goes round again with what is known of it by then.
 * @param attempt whose target nobody else uses meanwhile.
 */
export async function moveAgain(options: SecondCopyOptions, attempt: Attempt): Promise<MovedAgain> {
  const { connection, target, batch, outcome } = attempt;
  const { keys, copy, node } = batch;
  const { job } = options;
  const { sourceRun } = connection;
  const commands = options.commandsFor(node, false);
  const isSure = hasKept(attempt);
  const mayReplace = mayOverwrite(job, batch) === 'if-untouched';
  const leaving: Leaving[] = [];
  let handingOver: Promise<boolean> | undefined;
  const unknown: number[] = [];

  const begun = new Set<number>();
  const done = new Set<number>();
  try {
    const readings = await readAgain(connection.source, keys, options.rewrite);
    for (const [index, reading] of readings.entries()) {
      const sent = sentValueOf(keys, index);
      if (!sent) unknown.push(index);
      else {
        begun.add(index);
        await settle(index, reading, sent);
        if (!unknown.includes(index)) done.add(index);
      }
    }
    if (unknown.length > 0) await settleUnknown(unknown);
    for (const index of unknown) done.add(index);
    const shortfall = await durabilityShortfall();
    if (shortfall !== undefined) {
      leavingAgain({ class: 'unavailable', message: `${node.address}: ${shortfall}` });
    }
  } catch (error) {
    const { message } = importErrorOf(error);
    // With the source still there it was the node that failed.
    restAgain({ class: connection.source.lost ? 'source' : 'unavailable', message });
  }
  const acknowledged = together(leaving);
  const removed = await attempt.remove(job, acknowledged, () => acknowledged);
  if (removed === 'in-doubt') return { kept: [], why: undefined };
  const indexes = removed === 'removed' ? [] : (removed.indexes ?? [...leaving.keys()]);
  const as = job.mode === 'copy' && batch.listedBefore ? 'repeated' : 'moved';
  outcome[as] += leaving.length - indexes.length;
  return {
    kept: byCopy(indexes.map((index) => leaving[index] as Leaving)),
    why: removed === 'removed' ? undefined : removed.why,
  };

  /** What was to leave the source stays there for now; each key with what its node was given last. */
  function leavingAgain(why: Why): void {
    for (const known of byCopy(leaving.splice(0))) {
      outcome.retry(known.keys, { ...why, copy: { ...known.copy, isDurable: false } });
    }
  }

  /**
   * A connection was lost. What became of the keys before stands; of the one that was in hand nobody knows
   * any more what its node has, and it has to be looked at there.
   */
  function restAgain(why: Why): void {
    leavingAgain(why);
    const all = [...Array(keys.count).keys()].filter((index) => !done.has(index));
    const inDoubt = all.filter((index) => begun.has(index));
    const untouched = all.filter((index) => !begun.has(index));
    const { state, sourceRun: ranThere, storedAt } = copy;
    const seen = { state, sourceRun: ranThere, storedAt };
    outcome.retry(chosen(keys, inDoubt), { ...why, copy: seen });
    outcome.retry(chosen(keys, untouched), { ...why, copy });
  }

  async function settle(index: number, reading: Reading, sent: SentValue): Promise<void> {
    const there = nodeCopy(target, keyAt(namesOf(keys), index), commands);
    if (reading instanceof ErrorReply) {
      settleSourceRefusal(outcome, chosen(keys, [index]), reading.text, 'to read it');
    } else if (reading === 'absent') await settleGone(index, sent, there);
    else if (isNear(reading.deadlineMs, sent.deadlineMs) && reading.bytes.equals(sent.bytes)) {
      await settleSame(index, sent, there);
    } else await settleChanged(index, sent, reading, there);
  }

  async function settleGone(index: number, sent: SentValue, there: NodeCopy): Promise<void> {
    if (onAbsent(job, batch, sourceRun) !== 'delete-if-untouched') {
      await settleAbsent(options, batch, chosen(keys, [index]), sourceRun, outcome);
      return;
    }
    if (batch.asking) {
      waitForSlot(index);
      return;
    }
    const done = await there.discard(sent);
    if (done === 'done' || done === 'absent') outcome.gone++;
    else notDone(index, done);
  }

  /** The source has what the node was given: nobody wrote to the key there. */
  async function settleSame(index: number, sent: SentValue, there: NodeCopy): Promise<void> {
    const known = { index, record: recordAt(index), copy };
    if (isSure) {
      leaving.push(known);
      return;
    }
    if (batch.asking) {
      waitForSlot(index);
      return;
    }
    const done = await there.look(sent);
    if (done === 'done') leaving.push({ ...known, copy: attempt.confirmed });
    else if (done === 'absent') await storeAgain(index, sent, sent, there);
    else notDone(index, done);
  }

  async function settleChanged(
    index: number,
    sent: SentValue,
    now: SentValue,
    there: NodeCopy,
  ): Promise<void> {
    if (batch.asking) {
      waitForSlot(index);
      return;
    }
    if (!mayReplace) {
      await store(index, now, there);
      return;
    }
    const isSameTime = isNear(now.deadlineMs, sent.deadlineMs);
    // What goes element by element is stored as if for the first time.
    const isAnew = !isTaken(now);
    const isSame = (temporary: Buffer): Promise<boolean> => isSameAtSource(index, temporary);
    const done = await there.replace(sent, isAnew ? undefined : now, {
      isSameAtSource: async (temporary) => isSameTime && (await isSame(temporary)),
      hasArrived: options.confirmation === undefined ? undefined : isSame,
    });
    if (done === 'same') await settleSame(index, sent, there);
    else if (done === 'differs') {
      // Or the source was written to once more.
      const message = `its copy at ${node.address} is not what the source has`;
      outcome.retry(chosen(keys, [index]), { class: 'changing', message });
    } else if (isAnew) beginAnew(index, sent, done);
    else if (done === 'done')
      leaving.push({ index, record: recordOf(now), copy: attempt.confirmed });
    // A client's; or what an attempt put there that a lost connection cut off.
    else if (done === 'touched') unknown.push(index);
    // Its clients have deleted it; or the node has lost it, or it has expired there.
    else if (done !== 'absent') notDone(index, done);
    else if (isSure && !hasExpired(sent)) leaveBoth(chosen(keys, [index]), 'deleted');
    else await storeAgain(index, sent, now, there);
  }

  /** Whether the node takes a value in one piece. */
  function isTaken({ form, bytes }: SentValue): boolean {
    if (form === 'value') return true;
    const { rewrite, shapes } = options;
    return !shapes.payloadsRefused && (!rewrite || isRewritable(rewrite, bytes));
  }

  function beginAnew(index: number, sent: SentValue, discarded: Done): void {
    const isDeleted = discarded === 'absent' && isSure && !hasExpired(sent);
    if (isDeleted) leaveBoth(chosen(keys, [index]), 'deleted');
    else if (discarded !== 'done' && discarded !== 'absent') notDone(index, discarded);
    else {
      const one = { ...chosen(keys, [index]), values: undefined };
      const message = 'it was written to while it was moved';
      outcome.retry(one, { class: 'changing', message, copy: { state: 'unknown' } });
    }
  }

  /** The node does not have it, and it is not certain that clients have deleted it. */
  async function storeAgain(
    index: number,
    sent: SentValue,
    now: SentValue,
    there: NodeCopy,
  ): Promise<void> {
    if (hasExpired(sent) || !(await isHandedOver())) await store(index, now, there);
    else outcome.leaveBoth(chosen(keys, [index]), 'missing');
  }

  /**
   * Whether the node that acknowledged the keys has not been down since: most likely it has handed over all
   * that it had (a failover that was asked for, and back perhaps, or a slot that moved). Then it is
   * more likely that clients have deleted a key than that it was lost, and who stores it again may hand out
   * jobs twice.
   */
  function isHandedOver(): Promise<boolean> {
    handingOver ??= (async () => {
      const { storedOver, storedAt } = copy;
      if (!storedOver || !storedAt) return false;
      const there = await options.datasetOf(storedAt).catch(() => '');
      const [runId] = storedOver.dataset.split(' ');
      return runId !== '' && there.startsWith(`${runId ?? ''} `);
    })();
    return handingOver;
  }

  async function store(index: number, now: SentValue, there: NodeCopy): Promise<void> {
    if (options.confirmation !== undefined || !isTaken(now)) {
      // What has to be compared, or goes element by element, goes as if for the first time, and overwrites nothing.
      const one = { ...chosen(keys, [index]), values: undefined };
      const message = `${node.address} does not have it`;
      const mayBeMoved: Copy = { state: 'may-be-moved', sourceRun };
      outcome.retry(one, { class: 'changing', message, copy: mayBeMoved });
      return;
    }
    const done = await there.store(now);
    if (done === 'done') leaving.push({ index, record: recordOf(now), copy: attempt.confirmed });
    else notDone(index, done);
  }

  function notDone(index: number, why: Exclude<Done, 'done'>): void {
    const one = chosen(keys, [index]);
    if (!(why instanceof ErrorReply)) {
      leaveBoth(one);
      return;
    }
    const verdict = verdictOf(why.text);
    const message = `${node.address} answered: ${why.text}`;
    if (verdict.kind === 'exists') leaveBoth(one);
    else settleVerdict(outcome, one, verdict, message);
  }

  /** A slot that is on its way takes commands one by one, and no transactions: later, then. */
  function waitForSlot(index: number): void {
    const message = `${node.address} is taking over the slot`;
    outcome.retry(chosen(keys, [index]), { class: 'redirected', message });
  }

  /** @param missing why the cluster has no copy; undefined: it has one. */
  function leaveBoth(some: Keys, missing?: 'deleted'): void {
    const why = onDifferent(job, batch);
    if (why === 'repeated' || why === 'copied-again') outcome.repeated += some.count;
    else outcome.leaveBoth(some, missing ?? why);
  }

  /** Equal values may have payloads of other bytes. */
  async function isSameAtSource(index: number, temporary: Buffer): Promise<boolean> {
    const sides = [sideOf(connection.source), sideOf(target)] as const;
    const compared = await compareValue(keyAt(keys, index), temporary, ...sides, {
      valueOnly: true,
    });
    return compared.same;
  }

  /** Nothing of it counts before all of it is known. */
  async function settleUnknown(indexes: readonly number[]): Promise<void> {
    const some = chosen(keys, indexes);
    const compared = await options.compare(batch, some);
    const { deleted, lost } = await sortMissing(compared.missing);
    await settleAbsent(options, batch, compared.absent, sourceRun, outcome);
    retryRefused(outcome, node, some, compared.refused);
    if (isSure) leaveBoth(deleted, 'deleted');
    else outcome.leaveBoth(deleted, 'missing');
    // Without the places for what was sent, they are stored as if for the first time.
    outcome.retry(
      { ...lost, values: undefined },
      {
        class: 'changing',
        message: `${node.address} does not have it`,
        copy: { state: 'may-be-moved', sourceRun },
      },
    );
    leaveBoth(compared.different);
    if (onEqual(job, batch) !== 'done') leaveBoth(compared.equal);
    else {
      const equal = new Set(
        [...Array(compared.equal.count).keys()].map((at) =>
          keyAt(compared.equal, at).toString('latin1'),
        ),
      );
      for (const index of indexes) {
        if (!equal.has(keyAt(keys, index).toString('latin1'))) continue;
        leaving.push({ index, record: undefined, copy: attempt.confirmed });
      }
    }
  }

  /** They are at the source still; what was stored of them is not known. */
  async function sortMissing(missing: Keys): Promise<{ deleted: Keys; lost: Keys }> {
    if (missing.count === 0) return { deleted: missing, lost: missing };
    const deadlines = askDeadlines(connection.source, missing).byKey;
    await connection.source.call('PING');
    const isKnown = copy.state === 'stored' && (isSure || (await isHandedOver()));
    const isDeleted = (index: number): boolean =>
      isKnown && !hasExpired({ deadlineMs: deadlines[index] ?? 0 });
    const all = [...Array(missing.count).keys()];
    return {
      deleted: chosen(missing, all.filter(isDeleted)),
      lost: chosen(
        missing,
        all.filter((index) => !isDeleted(index)),
      ),
    };
  }

  /**
   * WAIT speaks of what was written over its own connection, so something is written here: for keys that
   * were stored over another one nothing else would be.
   */
  async function durabilityShortfall(): Promise<string | undefined> {
    const durability = options.durabilityOf(node);
    const first = leaving[0];
    if (!durability || !first) return undefined;
    const name = temporaryNameFor(keyAt(namesOf(keys), first.index));
    const side = sideOf(target, { asking: batch.asking });
    const [, shortfall] = await Promise.all([
      side.ask(['SET', name, '', 'PX', 60_000]),
      shortfallOver(target, durability),
      side.ask(['DEL', name]),
    ]);
    return shortfall;
  }

  function recordAt(index: number): Buffer | undefined {
    const { values } = keys;
    return values?.bytes.subarray(values.starts[index], values.starts[index + 1]);
  }

  function byCopy(some: readonly Leaving[]): KnownKeys[] {
    return [...new Set(some.map((one) => one.copy))].map((known) => {
      return { keys: together(some.filter((one) => one.copy === known)), copy: known };
    });
  }

  function together(some: readonly Leaving[]): Keys {
    const indexes = some.map(({ index }) => index);
    const records = some.map(({ record }) => record);
    return withSentValues(chosen(keys, indexes), records);
  }
}

/** Asks for values in the form in which they were sent, and for their deadlines. */
async function readAgain(
  source: Connection,
  keys: Keys,
  rewrite: PayloadRewrite | undefined,
  tries = 3,
): Promise<Reading[]> {
  const deadlines = askDeadlines(source, keys);
  const ask = (word: string, index: number): Promise<Reply> =>
    askAt(source, [word, keyAt(keys, index)]);
  const forms = Array.from({ length: keys.count }, (_, index) => sentValueOf(keys, index)?.form);
  const replies = await Promise.all(
    forms.map((form, index) => {
      if (form === undefined) return ask('TYPE', index);
      return ask(form === 'value' ? 'GET' : 'DUMP', index);
    }),
  );
  // A line that is always slow gets by with what is as good as it is.
  if (!deadlines.areSure && tries > 1) {
    return readAgain(source, keys, rewrite, tries - 1);
  }
  return Promise.all(
    replies.map(async (reply, index): Promise<Reading> => {
      let form = forms[index] ?? 'payload';
      let answer = reply;
      // It is another type now.
      if (answer instanceof ErrorReply && answer.code === 'WRONGTYPE') {
        form = 'payload';
        answer = await ask('DUMP', index);
      }
      if (answer instanceof ErrorReply) return answer;
      if (!Buffer.isBuffer(answer)) return 'absent';
      const deadlineMs = deadlines.byKey[index] as number;
      const isChanged = form === 'payload' && rewrite && isRewritable(rewrite, answer);
      const bytes = isChanged ? rewritten(rewrite, answer) : answer;
      return { form, deadlineMs, bytes, frame: frame(bytes) };
    }),
  );
}

function hasExpired({ deadlineMs }: Pick<SentValue, 'deadlineMs'>): boolean {
  return deadlineMs !== 0 && deadlineMs <= Date.now() + 1000;
}

function recordOf({ form, deadlineMs, frame: bulk }: SentValue): Buffer {
  return valueRecord(form, deadlineMs, bulk);
}

/**
 * Whether the node has lost nothing since it acknowledged the keys. Then its clients deleted what it lacks.
 * A connection may have been closed for less than a restart: servers close those that are idle (their
 * `timeout`), and so does what stands in between.
 */
function hasKept({ target, batch: { copy, node } }: Attempt): boolean {
  if (copy.isDurable === true) return true;
  const { storedOver, storedAt } = copy;
  if (!storedOver || storedAt?.address !== node.address) return false;
  if (storedOver.lost === undefined) return true;
  return storedOver.dataset !== '' && storedOver.dataset === target.dataset;
}
