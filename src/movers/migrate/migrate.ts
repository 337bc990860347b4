/**
 * The source sends the keys itself, by MIGRATE, and deletes what its node acknowledged.
 *
 * One command moves many keys where the version does that safely. Its answer speaks for all of
 * them: `+OK`, `+NOKEY`, or the first error. After an error those that the source still has go once
 * more, each alone, so that each gives its own reason.
 * The source serves nobody else during a call, so calls are cut to the time it may be blocked.
 */
import { ImportError, StoppedError } from '../../errors.js';
import { nextReply } from '../../redis/ask.js';
import { chosen, slice } from '../../redis/frames.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Batch, Copy, Keys, Mover, Node, Outcome, Retry } from '../../types.js';
import { byReason, outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import { afterLostConnection, mayOverwrite } from '../policy.js';
import {
  isPassing,
  isVersionRefusal,
  settleVerdict,
  sourceRefusal,
  travelsOtherwise,
  verdictOf,
} from '../refused-keys.js';
import { type AbsentOptions, settleAbsent } from '../settle.js';
import type { SideChannel } from '../side-channel.js';
import {
  errorFromTarget,
  type MigrateArguments,
  migrateEach,
  migrateTogether,
  preparePresence,
  type Together,
} from './migrate-command.js';
import { Gate } from '../../async.js';
import type { Connection } from '../../redis/connection.js';
import { reopening } from '../../redis/pool.js';

export interface MigrateOptions extends Pick<SideChannel, 'receivedBytes'>, AbsentOptions {
  /**
   * Opens a connection to the source, and again when it was lost.
   * @throws SourceError when that is beyond repair.
   */
  openSource(): Promise<SourceEnd>;
  /**
   * Moves keys another way: those that their node has already, which MIGRATE can't compare, and those
   * whose payload the node does not take.
   */
  otherwise(batch: Batch): Promise<Outcome>;
  /** Whether the node takes shorter values than usual: it hangs up on the source that sends a longer one. */
  isNarrow(node: Node): boolean;
  /** What has to be done before keys are sent, which deletes them at the source; if anything. */
  readonly beforeDeletes: ((keys: Keys) => Promise<void>) | undefined;
  /** Whether one MIGRATE may hold several keys, which not every version does safely. */
  readonly severalKeys: boolean;
  /** Whether the source lets scripts run. */
  readonly scripts: boolean;
  /** Whether the source's MIGRATE has REPLACE and COPY. */
  readonly replaces: boolean;
  /** For each chunk written and each byte read by the source, not for the call. */
  readonly timeoutMs: number;
  /** How long the source may be blocked by one call. */
  readonly maxBlockMs: number;
  /** How far the source is; 0 while that was not measured. */
  roundTripMs(): number;
  /** The nodes' credentials. */
  readonly username?: string;
  readonly password?: string;
}

/** Keys of one batch that go in one call. */
interface Part extends SourceEnd {
  readonly batch: Batch;
  readonly args: MigrateArguments;
  readonly keys: Keys;
}

/** Why a node, or the source, takes no more now. */
type Trouble = Pick<Retry, 'class' | 'message' | 'refusal'>;

const mostKeys = 1000;
/**
 * The same where keys are put on file before they are sent, because the cluster has others by their
 * names: whether a call that was cut off has moved its keys nobody can tell then, so they stay.
 */
const mostNotedKeys = 20;
/** How many calls for a single key each are on their way at one time. */
const mostSingles = 16;

export interface MigrateMover extends Mover {
  /** How long the shortest call to a node kept the source waiting, about; undefined: there was none. */
  readonly callMs: (node: Node) => number | undefined;
}

export function migrate(options: MigrateOptions): MigrateMover {
  const { job, timeoutMs } = options;
  const copy = job.mode === 'copy';
  const callSize = new CallSize(
    options.maxBlockMs,
    () => options.roundTripMs(),
    options.beforeDeletes ? mostNotedKeys : mostKeys,
  );
  const credentials = {
    ...(options.username !== undefined && { username: options.username }),
    ...(options.password !== undefined && { password: options.password }),
  };
  const connections = new CallConnections(async () => {
    const end = await options.openSource();
    if (options.scripts) preparePresence(end.source);
    return end;
  });
  let { severalKeys } = options;
  /** Nodes that refuse all of the source's payloads. */
  const refusing = new Set<string>();
  /** Of each node the shortest one. */
  const callsMs = new Map<string, number>();

  function noteCall({ address }: Node, tookMs: number): void {
    callsMs.set(address, Math.min(tookMs, callsMs.get(address) ?? Infinity));
  }

  async function move(batch: Batch): Promise<Outcome> {
    const hungUp = batch.attempt > 0 && options.isNarrow(batch.node);
    if (hungUp || refusing.has(batch.node.address)) return options.otherwise(batch);
    const outcome = outcomeBuilder();
    const overwrite = options.replaces && mayOverwrite(job, batch) === 'always';
    const args = { node: batch.node, overwrite, copy, timeoutMs, ...credentials };
    const parts: Promise<void>[] = [];
    // Each call to a node that hangs blocks the source for all of its timeout; and a source that refuses
    // one refuses all.
    let trouble: Trouble | undefined;
    for (let from = 0; from < batch.keys.count;) {
      const connection = await connections.take();
      if (trouble !== undefined) {
        connections.giveBack(connection);
        outcome.retry(slice(batch.keys, from, batch.keys.count), trouble);
        break;
      }
      // Only now, when it is sent, is it known how many keys fit into the time.
      const keys = slice(batch.keys, from, Math.min(batch.keys.count, from + callSize.keys));
      const part = connection()
        .then(async (end) => {
          // In two steps: `??=` would not move the part where others have met trouble meanwhile.
          const met = await movePart({ ...end, batch, args, keys }, outcome);
          trouble ??= met;
        })
        .catch((error: unknown) => {
          if (!(error instanceof StoppedError)) throw error;
          // Others of the batch are under way, and are told of.
          outcome.retry(keys, { class: 'source', message: error.message });
        })
        .finally(() => {
          connections.giveBack(connection);
        });
      // Whoever awaits it comes later than its end may.
      part.catch(() => undefined);
      parts.push(part);
      from += keys.count;
    }
    await Promise.all(parts);
    // Read in any case: what came in while nothing moved is not the next batch's.
    const received = await options.receivedBytes(batch.node).catch(() => 0);
    outcome.bytes = outcome.moved > 0 ? received : 0;
    return outcome.build();
  }

  /** @returns why no more should be sent now. */
  async function movePart(part: Part, outcome: OutcomeBuilder): Promise<Trouble | undefined> {
    const own = outcomeBuilder();
    await options.beforeDeletes?.(part.keys);
    try {
      // Keys that were tried or listed before need an answer each.
      const isFresh = part.batch.attempt === 0 && !part.batch.listedBefore;
      const several = severalKeys && isFresh;
      await (several ? moveMany(part, own) : moveEach(part, part.keys, own));
      const built = own.build();
      outcome.add(built);
      return troubleIn(built.retries);
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      // What is known of a part is worth nothing once the source is lost half-way through it.
      // With the source still there it was the node that failed: what it was asked aside, say.
      const why = part.source.lost ? 'source' : 'unavailable';
      const trouble = { class: why, message: error.message } as const;
      outcome.retry(part.keys, { ...trouble, copy: afterLoss(part) });
      return trouble;
    }
  }

  async function moveMany(part: Part, outcome: OutcomeBuilder): Promise<void> {
    const { source, batch, keys } = part;
    const sentMs = performance.now();
    const together = await migrateTogether(source, part.args, keys, options.scripts);
    noteCall(batch.node, callSize.note(keys.count, sentMs, 1));
    if (together.kind !== 'answered') {
      await settleUnanswered(part, together, outcome);
      return;
    }
    const { answer, presentBefore } = together;
    if (!(answer instanceof ErrorReply)) {
      const moved = answer === 'NOKEY' ? 0 : presentBefore;
      outcome.moved += moved;
      outcome.gone += keys.count - moved;
      return;
    }
    const message = `MIGRATE to ${batch.node.address} answered: ${answer.text}`;
    const left = together.left();
    if (!left) {
      outcome.retry(keys, { class: 'unavailable', message, copy: mayBeMoved(part) });
      return;
    }
    const { present, absent } = left;
    // What the source no longer has was acknowledged by the node, or had gone before.
    await settleAbsent(
      options,
      { ...batch, copy: mayBeMoved(part) },
      absent,
      part.sourceRun,
      outcome,
    );
    if (answer.code === 'IOERR') {
      outcome.retry(present, { class: 'unavailable', message, copy: mayBeStored(part) });
    } else await moveEach(part, present, outcome);
  }

  /** What is refused for good would be refused the next time too: then keys go one by one. */
  async function settleUnanswered(
    part: Part,
    together: Together & { kind: 'refused' | 'unclear' },
    outcome: OutcomeBuilder,
  ): Promise<void> {
    const { source, keys } = part;
    if (together.kind === 'refused') {
      if (!isPassing(together.why.text)) severalKeys = false;
      // All of them are still there, and each gives its own reason.
      await moveEach(part, keys, outcome);
    } else {
      if (!together.isPassing) severalKeys = false;
      const message = `${source.address} ${together.what}`;
      outcome.retry(keys, { class: 'source', message, copy: afterLoss(part) });
    }
  }

  /** What is known of the copies of keys that MIGRATE may have moved. */
  function afterLoss({ batch, sourceRun }: Part): Copy {
    return afterLostConnection(job, batch.copy, 'deleting', sourceRun);
  }

  /** A call for each key; few on their way at one time, since what was sent can't be taken back. */
  async function moveEach(part: Part, keys: Keys, outcome: OutcomeBuilder): Promise<void> {
    if (keys.count === 0) return;
    const sentMs = performance.now();
    let trips = 0;
    for (let from = 0, size = 1; from < keys.count; size = Math.min(mostSingles, size * 2)) {
      trips++;
      const some = slice(keys, from, Math.min(keys.count, from + size));
      from += some.count;
      const trouble = await moveSingles(part, some, outcome);
      if (trouble && from < keys.count) {
        outcome.retry(slice(keys, from, keys.count), trouble);
        return;
      }
    }
    const tookMs = callSize.note(keys.count, sentMs, trips);
    noteCall(part.batch.node, tookMs / keys.count);
  }

  /** @returns why no more should be sent now. */
  async function moveSingles(
    part: Part,
    keys: Keys,
    outcome: OutcomeBuilder,
  ): Promise<Trouble | undefined> {
    part.source.out.append(migrateEach(part.args, keys));
    const replies = Array.from({ length: keys.count }, () => nextReply(part.source));
    const answers = await Promise.all(replies);
    const refusals: { index: number; id: string; reason: ErrorReply }[] = [];
    const absent: number[] = [];
    const malformed: number[] = [];
    answers.forEach((answer, index) => {
      if (answer instanceof ErrorReply) refusals.push({ index, id: answer.text, reason: answer });
      else if (answer === 'NOKEY') absent.push(index);
      else if (answer === 'OK') outcome.moved++;
      else malformed.push(index);
    });
    if (malformed.length > 0) {
      // Nobody knows what it takes the next command for.
      part.source.close();
      const message = `${part.source.address} sent a malformed reply to MIGRATE`;
      const copy = afterLoss(part);
      outcome.retry(chosen(keys, malformed), { class: 'source', message, copy });
    }
    await settleAbsent(options, part.batch, chosen(keys, absent), part.sourceRun, outcome);
    for (const { keys: refused, reason } of byReason(keys, refusals)) {
      await settle(part, refused, reason, outcome);
    }
    const silence = refusals.find(({ reason }) => reason.code === 'IOERR');
    if (silence) {
      const message = `MIGRATE to ${part.batch.node.address} answered: ${silence.id}`;
      return { class: 'unavailable', message };
    }
    const refused = refusals.map(({ id }) => sourceRefusal(id, 'MIGRATE'));
    return refused.find(({ refusal }) => refusal !== undefined);
  }

  async function settle(
    part: Part,
    keys: Keys,
    error: ErrorReply,
    outcome: OutcomeBuilder,
  ): Promise<void> {
    const refused = sourceRefusal(error.text, 'MIGRATE');
    if (refused.refusal !== undefined) {
      outcome.retry(keys, refused);
      return;
    }
    const text = error.text.startsWith(errorFromTarget)
      ? error.text.slice(errorFromTarget.length)
      : error.text;
    const verdict = verdictOf(text);
    const message = `MIGRATE to ${part.batch.node.address} answered: ${text}`;
    // Of those that the node has, equal ones are what an earlier try left, others stay on both sides.
    if (verdict.kind === 'exists' || travelsOtherwise(verdict)) {
      if (isVersionRefusal(text)) refusing.add(part.batch.node.address);
      outcome.add(await options.otherwise({ ...part.batch, keys }));
      return;
    }
    // Of a key that was sent alone, and of whose arrival the source did not hear, nothing is known.
    const copy = error.code === 'IOERR' ? mayBeStored(part) : part.batch.copy;
    settleVerdict(outcome, keys, verdict, message, copy);
  }

  return { name: 'migrate', move, callMs: ({ address }) => callsMs.get(address) };
}

function troubleIn(retries: readonly Retry[]): Trouble | undefined {
  const found = retries.find((one) => one.class === 'unavailable' || one.refusal !== undefined);
  if (!found) return undefined;
  const { class: why, message, refusal } = found;
  return { class: why, message, ...(refusal !== undefined && { refusal }) };
}

function mayBeMoved({ sourceRun }: Part): Copy {
  return { state: 'may-be-moved', sourceRun };
}

/** The source did not hear whether they arrived. */
function mayBeStored({ batch, sourceRun }: Part): Copy {
  return batch.copy.state === 'unknown' ? { state: 'may-be-stored', sourceRun } : batch.copy;
}

/*
 * The calls by which a source is told to MIGRATE: over which connection each one goes, and how many keys
 * it may take so that it blocks the source for about as long as it may.
 */

interface SourceEnd {
  readonly source: Connection;
  /** Its run_id: another one after each restart. */
  readonly sourceRun: string;
}

/** One that the source works on, and one that it finds when that is done. */
const callsAtOnce = 2;

/**
 * Each call has a connection of its own: what two calls on one bring is worked off in one go, and other
 * clients would wait for both.
 */
class CallConnections {
  readonly #idle: (() => Promise<SourceEnd>)[];
  readonly #gate = new Gate();
  #idleCount = callsAtOnce;

  constructor(open: () => Promise<SourceEnd>) {
    this.#idle = Array.from({ length: callsAtOnce }, () => reopening(open, ({ source }) => source));
  }

  /** Lends a connection as soon as one is free; it has to be given back. */
  async take(): Promise<() => Promise<SourceEnd>> {
    await this.#gate.until(() => this.#idleCount > 0 && this.#idleCount-- > 0);
    return this.#idle.pop() as () => Promise<SourceEnd>;
  }

  giveBack(connection: () => Promise<SourceEnd>): void {
    this.#idle.push(connection);
    this.#idleCount++;
    this.#gate.check();
  }
}

/** No call is taken to be quicker. */
const leastMs = 0.05;

class CallSize {
  /** How many keys the next call may take. */
  keys = 1;
  #lastAnswerMs = 0;
  #shortestWaitMs = Infinity;

  /** @param limit keys at most. */
  constructor(
    readonly maxBlockMs: number,
    readonly roundTripMs: () => number,
    readonly limit: number,
  ) {}

  /**
   * So many keys were sent then, and have been answered; over how many round trips.
   * @returns how long that kept the source waiting, in ms.
   */
  note(keyCount: number, sentMs: number, trips: number): number {
    const nowMs = performance.now();
    const waitedMs = nowMs - sentMs;
    this.#shortestWaitMs = Math.min(this.#shortestWaitMs, waitedMs / trips);
    // The way there and back blocks nobody. It can't be longer than all that was waited for once.
    const wayMs = trips * Math.min(this.roundTripMs(), this.#shortestWaitMs);
    const tookMs = Math.max(leastMs, Math.min(waitedMs - wayMs, nowMs - this.#lastAnswerMs));
    this.#lastAnswerMs = nowMs;
    if (keyCount < this.keys / 2) return tookMs;
    // Rounded up: where the way to the node is most of it, one more key takes next to nothing.
    const fitting = Math.ceil((keyCount * this.maxBlockMs) / tookMs);
    const isOver = tookMs > this.maxBlockMs;
    const next = isOver ? Math.min(keyCount - 1, fitting) : Math.min(this.keys * 2, fitting);
    this.keys = Math.max(1, Math.min(this.limit, next));
    return tookMs;
  }
}
