/**
 * The source sends the keys itself, by MIGRATE, and deletes what its node acknowledged.
 *
 * One command moves many keys where the version does that safely. Its answer speaks for all of
 * them: `+OK`, `+NOKEY`, or the first error. After an error nothing is assumed: the source is asked
 * which keys it still has, and those go once more, each alone, so that each gives its own reason.
 * The source serves nobody else during a call, so calls are cut to the time it may be blocked.
 */
import type { Connection } from '../../redis/connection.js';
import { command, commandHead } from '../../redis/frames.js';
import { chosen, keyAt, slice } from '../../redis/keys.js';
import { ErrorReply, type Reply, ReplyReader } from '../../redis/reply.js';
import type { Batch, Keys, Mover, Node, Outcome } from '../../types.js';
import type { Compared } from '../compare.js';
import { byReason, outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import type { Removal } from '../relay/removal.js';
import { verdictOf } from '../replies.js';
import { type MigrateAbilities, migrateEach, migrateMany, type MigrateWords } from './words.js';

export interface MigrateOptions {
  readonly source: Connection;
  readonly abilities: MigrateAbilities;
  /** Whether keys that the cluster has are replaced. */
  readonly overwrite: boolean;
  readonly copy: boolean;
  readonly timeoutMs: number;
  /** How long the source may be blocked by one call. */
  readonly maxBlockMs: number;
  readonly username?: string;
  readonly password?: string;
  compare(node: Node, keys: Keys): Promise<Compared>;
  /** For keys that were found equal on both sides; undefined when copying. */
  readonly removal: Removal | undefined;
  /** What the node has received since the last call: MIGRATE itself does not tell. */
  receivedBytes(node: Node): Promise<number>;
}

const mostKeys = 1000;
const errorFromTarget = 'ERR Target instance replied with error: ';

export function migrate(options: MigrateOptions): Mover {
  const { source } = options;
  let keysPerCall = 16;
  let lastAnswerMs = 0;

  async function move(batch: Batch): Promise<Outcome> {
    const outcome = outcomeBuilder();
    const words: MigrateWords = {
      node: batch.node,
      overwrite: batch.ours || (options.overwrite && !batch.relisted),
      copy: options.copy,
      timeoutMs: options.timeoutMs,
      ...(options.username !== undefined && { username: options.username }),
      ...(options.password !== undefined && { password: options.password }),
    };
    const parts: Promise<void>[] = [];
    for (let from = 0; from < batch.keys.count;) {
      const keys = slice(batch.keys, from, Math.min(batch.keys.count, from + keysPerCall));
      const many = options.abilities.keys;
      parts.push(
        many ? moveMany(batch, words, keys, outcome) : moveEach(batch, words, keys, outcome),
      );
      from += keys.count;
    }
    await Promise.all(parts);
    outcome.bytes = await options.receivedBytes(batch.node);
    return outcome.build();
  }

  async function moveMany(
    batch: Batch,
    words: MigrateWords,
    keys: Keys,
    outcome: OutcomeBuilder,
  ): Promise<void> {
    const present = send(commandHead(keys.count, 'EXISTS'), keys.bytes);
    const sentMs = performance.now();
    const answer = await send(migrateMany(words, keys));
    adapt(keys.count, sentMs);
    const presentCount = Number(await present);
    if (!(answer instanceof ErrorReply)) {
      const moved = answer === 'NOKEY' ? 0 : presentCount;
      outcome.moved += moved;
      countGone(batch, keys.count - moved, outcome);
      return;
    }
    const left = await stillThere(keys);
    // What the source no longer has was acknowledged, or had gone before.
    outcome.moved += Math.max(0, presentCount - left.count);
    countGone(batch, keys.count - Math.max(presentCount, left.count), outcome);
    if (answer.code === 'IOERR') {
      outcome.retry(left, { class: 'unavailable', message: reasonOf(words.node, answer.text) });
    } else await moveEach(batch, words, left, outcome);
  }

  async function moveEach(
    batch: Batch,
    words: MigrateWords,
    keys: Keys,
    outcome: OutcomeBuilder,
  ): Promise<void> {
    if (keys.count === 0) return;
    const sentMs = performance.now();
    source.out.append(migrateEach(words, keys));
    const answers = await Promise.all(Array.from({ length: keys.count }, () => nextReply()));
    adapt(keys.count, sentMs);
    const refusals: { place: number; id: string; reason: ErrorReply }[] = [];
    answers.forEach((answer, place) => {
      if (answer instanceof ErrorReply) refusals.push({ place, id: answer.text, reason: answer });
      else if (answer === 'NOKEY') countGone(batch, 1, outcome);
      else outcome.moved++;
    });
    for (const { keys: refused, reason } of byReason(keys, refusals)) {
      await settle(batch, refused, reason, outcome);
    }
  }

  async function settle(
    batch: Batch,
    keys: Keys,
    error: ErrorReply,
    outcome: OutcomeBuilder,
  ): Promise<void> {
    const text = error.text.startsWith(errorFromTarget)
      ? error.text.slice(errorFromTarget.length)
      : error.text;
    const verdict = verdictOf(text);
    const message = reasonOf(batch.node, text);
    if (verdict.kind === 'failed') outcome.fail(keys, { class: verdict.class, message });
    else if (verdict.kind === 'retry') {
      const askAt = verdict.askAt === undefined ? {} : { askAt: verdict.askAt };
      outcome.retry(keys, { class: verdict.class, message, ...askAt });
    } else await settleExisting(batch, keys, outcome);
  }

  /** The node has these keys: equal ones are what an earlier try left, others stay on both sides. */
  async function settleExisting(batch: Batch, keys: Keys, outcome: OutcomeBuilder): Promise<void> {
    const ticket = options.removal?.begin(keys);
    const compared = await options.compare(batch.node, keys);
    countGone(batch, compared.absent.count, outcome);
    outcome.conflict(compared.different, batch.relisted);
    if (!options.removal || !ticket) {
      if (batch.relisted) outcome.repeated += compared.equal.count;
      else outcome.moved += compared.equal.count;
      return;
    }
    if (compared.equal.count === 0) return;
    const removed = await options.removal.remove(compared.equal, ticket);
    if (removed === 'removed') outcome.moved += compared.equal.count;
    else if (removed === 'changed') {
      outcome.retry(compared.equal, { class: 'changing', message: 'it was written to meanwhile' });
    } else {
      outcome.fail(compared.equal, { class: 'source', message: `not deleted: ${removed.text}` });
    }
  }

  async function stillThere(keys: Keys): Promise<Keys> {
    const answers = await Promise.all(
      Array.from({ length: keys.count }, (_, place) => send(command('EXISTS', keyAt(keys, place)))),
    );
    const places = answers.flatMap((answer, place) => (answer === 1 ? [place] : []));
    return chosen(keys, places);
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

  function send(...pieces: Buffer[]): Promise<Reply> {
    for (const piece of pieces) source.out.append(piece);
    return nextReply();
  }

  function nextReply(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      source.expect(new ReplyReader(resolve, reject));
    });
  }

  return {
    name: 'migrate',
    move,
    close: () => {
      source.close();
    },
  };
}

function countGone(batch: Batch, count: number, outcome: OutcomeBuilder): void {
  if (batch.relisted) outcome.repeated += count;
  else outcome.gone += count;
}

function reasonOf(node: Node, text: string): string {
  return `MIGRATE to ${node.address} answered: ${text}`;
}
