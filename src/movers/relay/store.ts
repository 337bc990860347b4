/**
 * Gets a batch's values to their node: in one piece (store-in-one-piece.ts), or, because of their size
 * or because the node does not take the source's payloads, element by element (../elements). What the
 * answers mean is the same for both.
 */
import type { Connection } from '../../redis/connection.js';
import { chosen, frame, joined, keyAt, noKeys, slice } from '../../redis/frames.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Sizes } from '../../redis/sizes.js';
import type { Keys, Node, Outcome } from '../../types.js';
import type { Elements } from '../elements/elements.js';
import type { Trace } from '../elements/transfer.js';
import { byReason, outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import { afterLostConnection, mayOverwrite } from '../policy.js';
import {
  settleSourceRefusal,
  settleVerdict,
  sourceRefusal,
  travelsOtherwise,
  type Verdict,
  verdictOf,
} from '../refused-keys.js';
import { type ExistingOptions, settleAbsent, settleExisting } from '../settle.js';
import type { Attempt } from './attempt.js';
import type { Expiry } from './deadlines.js';
import type { Durability, Form, StoreCommands } from './splice.js';
import type { PayloadRewrite } from './payload-rewrite.js';
import { type Passed, storedOf } from './relay-connection.js';
import { valueRecord } from './sent-values.js';
import type { Stage } from './verify-before-delete.js';

export interface StoreOptions extends ExistingOptions {
  /** The commands that store keys at this node; `overwrite` is the run's choice, or false. */
  commandsFor(node: Node, overwrite: boolean): StoreCommands;
  /** What the node must confirm before keys are deleted at the source. */
  durabilityOf(node: Node): Durability | undefined;
  readonly expiry: Expiry;
  readonly window: AskWindow;
  readonly shapes: ValueShapes;
  /** How payloads must be changed for the nodes; undefined: not at all. */
  readonly rewrite: PayloadRewrite | undefined;
  readonly elements: Elements;
  /** One command of the source's takes keys of one slot only: it is a node of a cluster. */
  readonly sameSlot: boolean;
  /** Which values are too large for one piece; undefined: that is not asked. */
  readonly sizes: Sizes | undefined;
}

/** Below this share of strings, all values are asked for as payloads at once. */
const fewStrings = 0.2;
/** Then every so many-th batch still finds out whether that has changed. */
const sampleEvery = 16;
/** A batch of so many keys, or more, counts as much as all that came before. */
const weightyKeys = 1024;

/** What kinds of values have come so far, by which is chosen how the next ones are asked for. */
export class ValueShapes {
  #stringShare = 1;
  #batches = 0;
  /** A node has refused the source's payloads: there is no use in asking for more of them. */
  payloadsRefused: boolean;

  /** @param payloadsRefused what is known of that before the start. */
  constructor(payloadsRefused: boolean) {
    this.payloadsRefused = payloadsRefused;
  }

  /** In which form the next batch is asked for first; where strings are rare, it may be a sample. */
  nextForm(): Form {
    if (this.#stringShare >= fewStrings) return 'value';
    return this.#batches++ % sampleEvery === 0 ? 'value' : 'payload';
  }

  note(strings: number, keyCount: number): void {
    const weight = Math.min(1, keyCount / weightyKeys);
    this.#stringShare = this.#stringShare * (1 - weight) + (strings / keyCount) * weight;
  }
}

/** What became of keys that were to be stored at their node. */
export interface Stored {
  /** Keys that are now whole at the node, by this very batch. */
  readonly keys: Keys;
  /** Keys that were there already, and equal. */
  readonly found: Keys;
  /** Keys that have to be moved element by element, and each by itself. */
  readonly byElements: Keys;
  /** What became of all others. */
  readonly outcome: Outcome;
}

/** Stores values element by element; the copies are watched over the attempt's target from then on. */
export async function storeByElements(options: StoreOptions, attempt: Attempt): Promise<Stored> {
  const { batch, target } = attempt;
  const storing = new Storing(options, attempt, undefined);
  const durability = options.durabilityOf(batch.node);
  const passed = await storing.passElements(batch.keys, durability, target, undefined);
  storing.countBytes(batch.keys, passed);
  await storing.settleAbsent(batch.keys, passed);
  const { whole } = await storing.settle(batch.keys, passed, 'elements');
  return storing.stored(whole);
}

/** One batch on its way to its node, and what was found out about its keys so far. */
export class Storing {
  protected readonly overwrite: boolean;
  protected readonly outcome = outcomeBuilder();
  protected readonly byElements: Keys[] = [];
  readonly #found: Keys[] = [];

  constructor(
    protected readonly options: StoreOptions,
    protected readonly attempt: Attempt,
    /** Values in one piece are stored under temporary names; undefined: under their own. */
    protected readonly stage: Stage | undefined,
  ) {
    this.overwrite = mayOverwrite(options.job, attempt.batch) === 'always';
  }

  stored(keys: Keys): Stored {
    return {
      keys,
      found: joined([noKeys, ...this.#found]),
      byElements: joined([noKeys, ...this.byElements]),
      outcome: this.outcome.build(),
    };
  }

  async passElements(
    keys: Keys,
    durability: Durability | undefined,
    trace: Trace,
    /** Which values go by themselves instead; undefined: none. */
    sizes: Sizes | undefined,
  ): Promise<Passed> {
    const { node, asking } = this.attempt.batch;
    const { source } = this.attempt.connection;
    const { sent } = this.attempt;
    const { overwrite } = this;
    const way = { source, keys, node, overwrite, asking, durability, trace, sent, sizes };
    const passed = await this.options.elements.pass(way);
    for (const { index, payload, deadlineMs } of passed.payloads ?? []) {
      const record = valueRecord('payload', deadlineMs, frame(payload));
      this.attempt.sent.note(keyAt(keys, index), record);
    }
    return passed;
  }

  countBytes(keys: Keys, passed: Passed): void {
    const sent = keys.count - passed.absent.length - (passed.foreign?.length ?? 0);
    // What each value weighed is not kept: those that were refused count as average ones.
    const taken = passed.lost ? 0 : sent - passed.refusals.length;
    this.outcome.bytes += sent === 0 ? 0 : Math.round((passed.bytes * taken) / sent);
  }

  /** Keys whose values the source did not give. */
  async settleAbsent(keys: Keys, passed: Passed): Promise<void> {
    if (passed.absent.length === 0) return;
    const { options, outcome } = this;
    const { batch, connection } = this.attempt;
    const { source, sourceRun } = connection;
    const absent = chosen(keys, passed.absent);
    if (passed.refusedBySource === undefined) {
      await settleAbsent(options, batch, absent, sourceRun, outcome);
    } else if (options.sameSlot) {
      const gone = await settleUnserved(source, absent, outcome);
      await settleAbsent(options, batch, gone, sourceRun, outcome);
    } else settleSourceRefusal(outcome, absent, passed.refusedBySource, 'to read it');
  }

  /**
   * Keys whose values were sent.
   * @returns those that are whole at the node by this, and those whose values do not travel in this form.
   */
  async settle(
    keys: Keys,
    passed: Passed,
    as: Form | 'elements',
  ): Promise<{ whole: Keys; unfit: RefusedTogether[] }> {
    const { outcome } = this;
    const { address } = this.attempt.batch.node;
    if (passed.lost !== undefined || passed.undurable !== undefined) {
      this.#retryUnconfirmed(keys, passed, as);
      return { whole: noKeys, unfit: [] };
    }
    for (const { index, why, class: failure } of passed.unmovable ?? []) {
      outcome.fail(chosen(keys, [index]), { class: failure, message: `it can't be moved: ${why}` });
    }
    if (passed.oversized) this.byElements.push(chosen(keys, passed.oversized));
    const unfit: RefusedTogether[] = [];
    let existing = noKeys;
    for (const refused of refusedTogether(keys, passed)) {
      const { verdict, text } = refused;
      if (verdict.kind === 'exists') existing = refused.keys;
      else if (as !== 'elements' && travelsOtherwise(verdict)) unfit.push(refused);
      else settleVerdict(outcome, refused.keys, verdict, `${address} answered: ${text}`);
    }
    if (existing.count > 0) {
      const { batch, connection } = this.attempt;
      this.#found.push(
        await settleExisting(this.options, batch, existing, connection.sourceRun, outcome),
      );
    }
    return { whole: storedOf(keys, passed), unfit };
  }

  /** The node was lost, or its replicas did not confirm. */
  #retryUnconfirmed(keys: Keys, passed: Passed, as: Form | 'elements'): void {
    const { batch, connection, sent, stored } = this.attempt;
    const absent = new Set(passed.absent);
    const indexes = [...Array(keys.count).keys()].filter((index) => !absent.has(index));
    const message = passed.lost?.message ?? `${batch.node.address}: ${passed.undurable ?? ''}`;
    const isStored = passed.lost === undefined && passed.refusals.length === 0;
    const maybe = afterLostConnection(
      this.options.job,
      batch.copy,
      'storing',
      connection.sourceRun,
    );
    // Under temporary names nobody sees them.
    const isStaged = this.stage !== undefined && as !== 'elements';
    const copy = isStaged ? batch.copy : isStored ? stored : maybe;
    const again = sent.withValues(chosen(keys, indexes));
    this.outcome.retry(again, { class: 'unavailable', message, copy });
  }
}

/**
 * A node of a source cluster serves no key whose slot it does not own. Such keys are left by a
 * resharding that was broken off; they keep none of the others from being dealt with.
 * @param keys the node gave no value for them, and refused one of them at least.
 * @returns those that it does not have.
 */
async function settleUnserved(
  source: Connection,
  keys: Keys,
  outcome: OutcomeBuilder,
): Promise<Keys> {
  const indexes = [...Array(keys.count).keys()];
  const answers = await Promise.all(
    indexes.map((index) => source.call('EXISTS', keyAt(keys, index))),
  );
  const gone: number[] = [];
  for (const [index, answer] of answers.entries()) {
    const key = slice(keys, index, index + 1);
    if (answer === 0) gone.push(index);
    else if (!(answer instanceof ErrorReply)) {
      const message = `${source.address} did not give its value, and has it`;
      outcome.retry(key, { class: 'source', message });
    } else {
      const why = sourceRefusal(answer.text, 'to read it');
      if (why.refusal !== undefined) {
        outcome.retry(key, why);
        continue;
      }
      const message =
        answer.code === 'MOVED'
          ? `${source.address} does not own the slot of this key: run cluster-import check --fix-keys --to ${source.address}, then import again`
          : `the source answered: ${answer.text}`;
      outcome.fail(key, { class: 'source', message });
    }
  }
  return chosen(keys, gone);
}

/** Keys that the node refused with the same words. */
interface RefusedTogether {
  readonly keys: Keys;
  readonly verdict: Verdict;
  readonly text: string;
}

function refusedTogether(keys: Keys, passed: Passed): RefusedTogether[] {
  if (passed.refusals.length === 0) return [];
  const refusals = passed.refusals.map(({ index, text }) => {
    const verdict: Verdict = text === null ? { kind: 'exists' } : verdictOf(text);
    // MOVED and ASK name a slot each, and mean the same for all of them.
    const id =
      verdict.kind === 'retry'
        ? `${verdict.class} ${verdict.redirect?.kind ?? ''} ${verdict.redirect?.address ?? ''}`
        : verdict.kind === 'exists'
          ? 'exists'
          : (text ?? '');
    return { index, id, reason: { verdict, text: text ?? '' } };
  });
  return byReason(keys, refusals).map(({ keys: group, reason: { verdict, text } }) => ({
    keys: group,
    verdict,
    text,
  }));
}

/**
 * How much may be asked of the source at one time, in keys and in bytes.
 *
 * Enough that the source never waits for the next question, however far away it is; little enough
 * that the answers never pile up in its memory. What the values will weigh is not known when they
 * are asked for, so it is expected from those seen before: SCAN's order is that of a hash, so the
 * next thousand keys are like the last. While nothing is known yet, one key is asked for, then two,
 * then four: a source of nothing but large values would need memory for all that are asked for.
 */
const maxBytes = 16 * 1024 * 1024;
/** What one part of a batch should bring at most. */
const partBytes = 1024 * 1024;
/** And how many keys: others who ask the source wait until it has answered for all of them. */
const partKeys = 512;

interface Waiting {
  readonly keyCount: number;
  readonly isWhole: boolean;
  readonly go: (keyCount: number) => void;
}

export class AskWindow {
  /** Begins high, so that the first questions are small. */
  #expectedBytes = 64 * 1024;
  #isKnown = false;
  /** How many keys may be asked for as long as too few have come; doubles with each answer. */
  #learning = 1;
  #keysAsked = 0;
  #bytesAsked = 0;
  readonly #waiting: Waiting[] = [];

  /** @param maxKeys how many keys may be asked for ahead. */
  constructor(readonly maxKeys: () => number) {}

  /** Waits until some of these keys may be asked for. @returns how many: one part of a batch. */
  enterSome(keyCount: number): Promise<number> {
    return this.#enter(keyCount, false);
  }

  /** Waits until all of these keys may be asked for. */
  async enter(keyCount: number): Promise<void> {
    await this.#enter(keyCount, true);
  }

  /** The answers are in: so many bytes for so many keys. */
  leave(keyCount: number, valueBytes: number): void {
    this.#keysAsked -= keyCount;
    this.#learning = Math.min(this.#learning * 2, Number.MAX_SAFE_INTEGER);
    // No bytes: they were of another type, and will be asked for once more.
    if (this.#isKnown || valueBytes > 0) this.#learn(keyCount, valueBytes / keyCount);
    this.#bytesAsked = Math.max(0, this.#keysAsked * this.#expectedBytes);
    this.#admit();
  }

  #enter(keyCount: number, isWhole: boolean): Promise<number> {
    return new Promise((go) => {
      this.#waiting.push({ keyCount, isWhole, go });
      this.#admit();
    });
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const mostKeys = Math.min(this.maxKeys(), this.#learning);
      const isFull = this.#keysAsked >= mostKeys || this.#bytesAsked >= maxBytes;
      if (this.#keysAsked > 0 && isFull) return;
      this.#waiting.shift();
      // Never cut to the room that is left: small parts leave small rooms, and make more of them.
      const fitting = Math.min(
        partKeys,
        Math.floor(partBytes / this.#expectedBytes),
        this.#learning,
      );
      const keyCount = next.isWhole ? next.keyCount : Math.min(next.keyCount, Math.max(1, fitting));
      this.#keysAsked += keyCount;
      this.#bytesAsked += keyCount * this.#expectedBytes;
      next.go(keyCount);
    }
  }

  #learn(keyCount: number, mean: number): void {
    const share = Math.min(1, keyCount / 256);
    // The first are believed at once, and so is what has grown; what has shrunk little by little.
    const isBelieved = !this.#isKnown || mean > this.#expectedBytes * 2;
    this.#isKnown = true;
    const expected = isBelieved ? mean : this.#expectedBytes * (1 - share) + mean * share;
    this.#expectedBytes = Math.max(expected, 1);
  }
}
