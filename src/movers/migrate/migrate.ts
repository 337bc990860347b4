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
import type { Connection } from '../../redis/connection.js';
import { chosen, slice } from '../../redis/keys.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Batch, Copy, Keys, Mover, Node, Outcome } from '../../types.js';
import { type AbsentOptions, settleAbsent } from '../absent.js';
import type { Aside } from '../aside.js';
import { byReason, outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import { afterLostConnection, mayOverwrite } from '../policy.js';
import { isPassing } from '../refused.js';
import { isVersionRefusal, travelsOtherwise, verdictOf } from '../replies.js';
import { migrateTogether, preparePresence, type Together } from './together.js';
import { errorFromTarget, migrateEach, type MigrateWords } from './words.js';

export interface MigrateOptions extends Pick<Aside, 'receivedBytes'>, AbsentOptions {
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
  readonly words: MigrateWords;
  readonly keys: Keys;
}

interface SourceEnd {
  readonly source: Connection;
  /** Its run_id: another one after each restart. */
  readonly sourceRun: string;
}

const mostKeys = 1000;
/**
 * The same where keys are put on file before they are sent, because the cluster has others by their
 * names: whether a call that was cut off has moved its keys nobody can tell then, so they stay.
 */
const mostNotedKeys = 20;
/** No call is taken to be quicker. */
const leastMs = 0.05;
/** One that the source works on, and one that it finds when that is done. */
const callsAtOnce = 2;

export function migrate(options: MigrateOptions): Mover {
  const { job, timeoutMs } = options;
  const copy = job.mode === 'copy';
  const callLimit = options.beforeDeletes ? mostNotedKeys : mostKeys;
  const credentials = {
    ...(options.username !== undefined && { username: options.username }),
    ...(options.password !== undefined && { password: options.password }),
  };
  // Each call has a connection of its own: what two calls on one bring is worked off in one go, and
  // other clients would wait for both.
  const idle = Array.from({ length: callsAtOnce }, () => sourceEnds(options));
  const all = [...idle];
  const waiting: ((ends: SourceEnds) => void)[] = [];
  let { severalKeys } = options;
  let keysPerCall = 1;
  let lastAnswerMs = 0;
  let shortestWaitMs = Infinity;
  /** Nodes that refuse all of the source's payloads. */
  const refusing = new Set<string>();

  function nextIdle(): Promise<SourceEnds> {
    const ends = idle.pop();
    return ends ? Promise.resolve(ends) : new Promise((go) => waiting.push(go));
  }

  function release(ends: SourceEnds): void {
    const next = waiting.shift();
    if (next) next(ends);
    else idle.push(ends);
  }

  async function move(batch: Batch): Promise<Outcome> {
    const hungUp = batch.attempt > 0 && options.isNarrow(batch.node);
    if (hungUp || refusing.has(batch.node.address)) return options.otherwise(batch);
    const outcome = outcomeBuilder();
    const overwrite = options.replaces && mayOverwrite(job, batch) === 'always';
    const words = { node: batch.node, overwrite, copy, timeoutMs, ...credentials };
    const parts: Promise<void>[] = [];
    for (let from = 0; from < batch.keys.count;) {
      const ends = await nextIdle();
      // Only now, when it is sent, is it known how many keys fit into the time.
      const keys = slice(batch.keys, from, Math.min(batch.keys.count, from + keysPerCall));
      const part = ends
        .open()
        .then((end) => movePart({ ...end, batch, words, keys }, outcome))
        .catch((error: unknown) => {
          if (!(error instanceof StoppedError)) throw error;
          // Others of the batch are under way, and are told of.
          outcome.retry(keys, { class: 'source', message: error.message });
        })
        .finally(() => {
          release(ends);
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

  async function movePart(part: Part, outcome: OutcomeBuilder): Promise<void> {
    const own = outcomeBuilder();
    await options.beforeDeletes?.(part.keys);
    try {
      // Keys that were tried or listed before need an answer each.
      const isFresh = part.batch.attempt === 0 && !part.batch.listedBefore;
      const several = severalKeys && isFresh;
      await (several ? moveMany(part, own) : moveEach(part, part.keys, own));
      outcome.add(own.build());
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      // What is known of a part is worth nothing once the source is lost half-way through it.
      // With the source still there it was the node that failed: what it was asked aside, say.
      const why = part.source.lost ? 'source' : 'unavailable';
      outcome.retry(part.keys, { class: why, message: error.message, copy: afterLoss(part) });
    }
  }

  async function moveMany(part: Part, outcome: OutcomeBuilder): Promise<void> {
    const { source, batch, keys } = part;
    const sentMs = performance.now();
    const together = await migrateTogether(source, part.words, keys, options.scripts);
    adapt(keys.count, sentMs);
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

  async function moveEach(part: Part, keys: Keys, outcome: OutcomeBuilder): Promise<void> {
    if (keys.count === 0) return;
    const sentMs = performance.now();
    part.source.out.append(migrateEach(part.words, keys));
    const replies = Array.from({ length: keys.count }, () => nextReply(part.source));
    const answers = await Promise.all(replies);
    adapt(keys.count, sentMs);
    const refusals: { place: number; id: string; reason: ErrorReply }[] = [];
    const absent: number[] = [];
    const malformed: number[] = [];
    answers.forEach((answer, place) => {
      if (answer instanceof ErrorReply) refusals.push({ place, id: answer.text, reason: answer });
      else if (answer === 'NOKEY') absent.push(place);
      else if (answer === 'OK') outcome.moved++;
      else malformed.push(place);
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
  }

  async function settle(
    part: Part,
    keys: Keys,
    error: ErrorReply,
    outcome: OutcomeBuilder,
  ): Promise<void> {
    const text = error.text.startsWith(errorFromTarget)
      ? error.text.slice(errorFromTarget.length)
      : error.text;
    const verdict = verdictOf(text);
    const message = `MIGRATE to ${part.batch.node.address} answered: ${text}`;
    if (travelsOtherwise(verdict)) {
      if (isVersionRefusal(text)) refusing.add(part.batch.node.address);
      outcome.add(await options.otherwise({ ...part.batch, keys }));
    } else if (verdict.kind === 'failed') outcome.fail(keys, { class: verdict.class, message });
    else if (verdict.kind === 'retry') {
      const askAt = verdict.askAt === undefined ? {} : { askAt: verdict.askAt };
      // Of a key that was sent alone, and of whose arrival the source did not hear, nothing is known.
      const copy = error.code === 'IOERR' ? mayBeStored(part) : part.batch.copy;
      outcome.retry(keys, { class: verdict.class, message, ...askAt, copy });
    } else {
      // Equal ones are what an earlier try left, others stay on both sides.
      outcome.add(await options.otherwise({ ...part.batch, keys }));
    }
  }

  /** Cuts the next calls so that each blocks the source for about as long as it may. */
  function adapt(keyCount: number, sentMs: number): void {
    const nowMs = performance.now();
    const waitedMs = nowMs - sentMs;
    shortestWaitMs = Math.min(shortestWaitMs, waitedMs);
    // The way there and back blocks nobody. It can't be longer than all that was waited for once.
    const wayMs = Math.min(options.roundTripMs(), shortestWaitMs);
    const tookMs = Math.max(leastMs, Math.min(waitedMs - wayMs, nowMs - lastAnswerMs));
    lastAnswerMs = nowMs;
    if (keyCount < keysPerCall / 2) return;
    const fitting = (keyCount * options.maxBlockMs) / tookMs;
    const next = Math.min(fitting, keysPerCall * 2);
    keysPerCall = Math.max(1, Math.min(callLimit, Math.floor(next)));
  }

  return {
    name: 'migrate',
    move,
    close() {
      for (const ends of all) ends.close();
    },
  };
}

/** A connection to the source, opened when it is needed and again when it was lost. */
interface SourceEnds {
  open(): Promise<SourceEnd>;
  close(): void;
}

function sourceEnds(options: MigrateOptions): SourceEnds {
  let opened: Promise<SourceEnd> | undefined;
  return {
    open() {
      if (opened) return opened;
      const opening = options.openSource().then((end) => {
        end.source.onLost(() => (opened = undefined));
        if (options.scripts) preparePresence(end.source);
        return end;
      });
      opened = opening;
      opening.catch(() => (opened = undefined));
      return opening;
    },
    close() {
      opened
        ?.then(({ source }) => {
          source.close();
        })
        .catch(() => undefined);
    },
  };
}

function mayBeMoved({ sourceRun }: Part): Copy {
  return { state: 'may-be-moved', sourceRun };
}

/** The source did not hear whether they arrived. */
function mayBeStored({ batch, sourceRun }: Part): Copy {
  return batch.copy.state === 'unknown' ? { state: 'may-be-stored', sourceRun } : batch.copy;
}
