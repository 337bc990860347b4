/**
 * The source sends the keys itself, by MIGRATE, and deletes what its node acknowledged.
 *
 * One command moves many keys where the version does that safely. Its answer speaks for all of
 * them: `+OK`, `+NOKEY`, or the first error. After an error those that the source still has go once
 * more, each alone, so that each gives its own reason.
 * The source serves nobody else during a call, so calls are cut to the time it may be blocked.
 */
import { ImportError } from '../../errors.js';
import type { Connection } from '../../redis/connection.js';
import { chosen, slice } from '../../redis/keys.js';
import { ErrorReply, type Reply, ReplyReader } from '../../redis/reply.js';
import type { Batch, Keys, Mover, Outcome } from '../../types.js';
import { type AbsentOptions, settleAbsent } from '../absent.js';
import type { Aside } from '../aside.js';
import { byReason, outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import { overwrites } from '../overwrite.js';
import type { Removal } from '../relay/removal.js';
import { retryRefused } from '../refused.js';
import { isVersionRefusal, travelsOtherwise, verdictOf } from '../replies.js';
import { migrateTogether, preparePresence } from './together.js';
import { migrateEach, type MigrateWords } from './words.js';

export interface MigrateOptions extends Pick<Aside, 'compare' | 'receivedBytes'>, AbsentOptions {
  /**
   * Opens a connection to the source, and again when it was lost. The removal is for keys that were
   * found equal on both sides; undefined when copying.
   * @throws SourceError when that is beyond repair.
   */
  openSource(): Promise<SourceEnd>;
  /** Whether one MIGRATE may hold several keys, which not every version does safely. */
  readonly severalKeys: boolean;
  /** Whether the source lets scripts run. */
  readonly scripts: boolean;
  /** Whether keys that the cluster has are replaced. */
  readonly overwrite: boolean;
  readonly copy: boolean;
  /** For each chunk written and each byte read by the source, not for the call. */
  readonly timeoutMs: number;
  /** How long the source may be blocked by one call. */
  readonly maxBlockMs: number;
  /** The nodes' credentials. */
  readonly username?: string;
  readonly password?: string;
  /** Moves keys whose payload the node does not take. */
  otherwise(batch: Batch): Promise<Outcome>;
}

/** Keys of one batch that go in one call. */
interface Part extends SourceEnd {
  readonly batch: Batch;
  readonly words: MigrateWords;
  readonly keys: Keys;
}

interface SourceEnd {
  readonly source: Connection;
  readonly removal: Removal | undefined;
}

const mostKeys = 1000;
const errorFromTarget = 'ERR Target instance replied with error: ';

export function migrate(options: MigrateOptions): Mover {
  const { copy, timeoutMs } = options;
  const credentials = {
    ...(options.username !== undefined && { username: options.username }),
    ...(options.password !== undefined && { password: options.password }),
  };
  let opened: Promise<SourceEnd> | undefined;
  let keysPerCall = 16;
  let lastAnswerMs = 0;
  /** Nodes that refuse all of the source's payloads. */
  const refusing = new Set<string>();

  function sourceEnd(): Promise<SourceEnd> {
    if (opened) return opened;
    const opening = options.openSource().then((end) => {
      end.source.onLost(() => (opened = undefined));
      if (options.scripts) preparePresence(end.source);
      return end;
    });
    opened = opening;
    opening.catch(() => (opened = undefined));
    return opening;
  }

  async function move(batch: Batch): Promise<Outcome> {
    if (refusing.has(batch.node.address)) return options.otherwise(batch);
    const outcome = outcomeBuilder();
    const overwrite = overwrites(options.overwrite, batch);
    const words = { node: batch.node, overwrite, copy, timeoutMs, ...credentials };
    const end = await sourceEnd();
    const parts: Promise<void>[] = [];
    for (let from = 0; from < batch.keys.count;) {
      const keys = slice(batch.keys, from, Math.min(batch.keys.count, from + keysPerCall));
      parts.push(movePart({ ...end, batch, words, keys }, outcome));
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
    try {
      // Keys that were tried or listed before need an answer each.
      const isFresh = part.batch.attempt === 0 && !part.batch.relisted;
      const several = options.severalKeys && isFresh;
      await (several ? moveMany(part, own) : moveEach(part, part.keys, own));
      outcome.add(own.build());
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      // What is known of a part is worth nothing once the source is lost half-way through it.
      const doubt = copy ? (part.batch.doubt ?? 'stored') : 'moved';
      // With the source still there it was the node that failed: what it was asked aside, say.
      const why = part.source.lost ? 'source' : 'unavailable';
      outcome.retry(part.keys, { class: why, message: error.message, doubt });
    }
  }

  async function moveMany(part: Part, outcome: OutcomeBuilder): Promise<void> {
    const { source, batch, keys } = part;
    const sentMs = performance.now();
    const together = await migrateTogether(source, part.words, keys, options.scripts);
    adapt(keys.count, sentMs);
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
      outcome.retry(keys, { class: 'unavailable', message, doubt: 'moved' });
      return;
    }
    const { present, absent } = left;
    // What the source no longer has was acknowledged by the node, or had gone before.
    await settleAbsent(options, { ...batch, doubt: 'moved' }, absent, outcome);
    if (answer.code === 'IOERR') {
      outcome.retry(present, { class: 'unavailable', message, doubt: 'stored' });
    } else await moveEach(part, present, outcome);
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
    answers.forEach((answer, place) => {
      if (answer instanceof ErrorReply) refusals.push({ place, id: answer.text, reason: answer });
      else if (answer === 'NOKEY') absent.push(place);
      else outcome.moved++;
    });
    await settleAbsent(options, part.batch, chosen(keys, absent), outcome);
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
      outcome.retry(keys, { class: verdict.class, message, ...askAt, ...traceOf(error, part) });
    } else await settleExisting(part, keys, outcome);
  }

  /** The node has these keys: equal ones are what an earlier try left, others stay on both sides. */
  async function settleExisting(part: Part, keys: Keys, outcome: OutcomeBuilder): Promise<void> {
    const { batch, removal } = part;
    const ticket = removal?.begin(keys);
    const compared = await options.compare(batch, keys);
    retryRefused(outcome, batch.node, keys, compared.refused);
    await settleAbsent(options, batch, compared.absent, outcome);
    outcome.conflict(compared.different, batch.relisted || batch.doubt === 'moved');
    const { equal } = compared;
    const removed =
      removal && ticket && equal.count > 0 ? await removal.remove(equal, ticket) : 'removed';
    const left = removed === 'removed' ? [] : (removed.places ?? [...Array(equal.count).keys()]);
    const kept = chosen(equal, left);
    if (removed !== 'removed' && removed.why === 'changed') {
      outcome.retry(kept, { class: 'changing', message: 'it was written to meanwhile' });
    } else if (removed !== 'removed' && removed.why !== 'changed') {
      outcome.fail(kept, { class: 'source', message: `not deleted: ${removed.why.text}` });
    }
    const done = equal.count - left.length;
    if (batch.relisted && copy) outcome.repeated += done;
    else outcome.moved += done;
  }

  /** Cuts the next calls so that each blocks the source for about as long as it may. */
  function adapt(keyCount: number, sentMs: number): void {
    const nowMs = performance.now();
    const tookMs = nowMs - Math.max(sentMs, lastAnswerMs);
    lastAnswerMs = nowMs;
    if (keyCount < keysPerCall / 2 || tookMs <= 0) return;
    const fitting = (keyCount * options.maxBlockMs) / tookMs;
    const next = Math.min(fitting, keysPerCall * 2);
    keysPerCall = Math.max(1, Math.min(mostKeys, Math.floor(next)));
  }

  return {
    name: 'migrate',
    move,
    close() {
      opened
        ?.then(({ source }) => {
          source.close();
        })
        .catch(() => undefined);
    },
  };
}

/** A key that MIGRATE sent alone, and of whose arrival it did not hear, may be at the node. */
function traceOf({ code }: ErrorReply, { batch }: Part): { readonly doubt?: 'stored' } {
  return code !== 'IOERR' || batch.ours || batch.doubt ? {} : { doubt: 'stored' };
}

function nextReply(source: Connection): Promise<Reply> {
  return new Promise((resolve, reject) => {
    source.expect(new ReplyReader(resolve, reject));
  });
}
