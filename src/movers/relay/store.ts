/**
 * Gets a batch's values to their node: which form each travels in, and what the answers mean.
 *
 * Strings travel as themselves, because DUMP compresses and checksums every value. Which keys are
 * strings is learned from MGET, which answers nil for all others at hardly any cost; where strings
 * are rare it is not asked.
 *
 * What can't travel in one piece, because of its size or because the node does not take the
 * source's payloads, goes element by element (../elements).
 */
import type { Connection } from '../../redis/connection.js';
import { frame } from '../../redis/frames.js';
import { chosen, joined, keyAt, noKeys, slice } from '../../redis/keys.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Sizes } from '../../redis/sizes.js';
import type { Batch, Copy, Keys, Node } from '../../types.js';
import type { Elements } from '../elements/elements.js';
import { byReason, type OutcomeBuilder } from '../outcome.js';
import { afterLostConnection, mayOverwrite } from '../policy.js';
import {
  isVersionRefusal,
  settleSourceRefusal,
  settleVerdict,
  sourceRefusal,
  travelsOtherwise,
  type Verdict,
  verdictOf,
} from '../refusals.js';
import { type ExistingOptions, settleAbsent, settleExisting } from '../settle.js';
import { askDeadlines, type Expiry } from './deadlines.js';
import type { Durability } from './durability.js';
import { type Line, type Passed, storedBy, storedOf } from './line.js';
import { type SentValues, valueRecord } from './sent-values.js';
import type { Stage } from './verify-before-delete.js';
import type { Window } from './window.js';
import type { Form, StoreWords } from './words.js';

export interface StoreOptions extends ExistingOptions {
  /** The commands that store keys at this node; `overwrite` is the run's choice, or false. */
  wordsFor(node: Node, overwrite: boolean): StoreWords;
  /** What the node must confirm before keys are deleted at the source. */
  durabilityOf(node: Node): Durability | undefined;
  readonly expiry: Expiry;
  readonly window: Window;
  readonly shapes: ValueShapes;
  readonly elements: Elements;
  /** One command of the source's takes keys of one slot only: it is a node of a cluster. */
  readonly sameSlot: boolean;
  /** Which values are too large for one piece; undefined: that is not asked. */
  readonly sizes: Sizes | undefined;
}

export interface Stored {
  /** Keys that are now whole at the node, by this very batch. */
  readonly keys: Keys;
  /** Keys that were there already, and equal. */
  readonly found: Keys;
  /** Keys that have to be moved element by element, and each by itself. */
  readonly apart: Keys;
}

/** How values get to a node. */
export interface Way {
  /** Keeps what the node is given. */
  readonly sent: SentValues;
  /** Values in one piece are stored under temporary names; undefined: under their own. */
  readonly stage: Stage | undefined;
  /** They go element by element. */
  readonly byElements: boolean;
}

/** Of keys that are not in what it returns, `outcome` tells. */
export async function store(
  options: StoreOptions,
  line: Line,
  lane: Connection,
  batch: Batch,
  outcome: OutcomeBuilder,
  { sent: sentValues, stage, byElements }: Way,
): Promise<Stored> {
  const { window, shapes, sizes } = options;
  const form: Form = options.sameSlot ? 'payload' : shapes.nextForm();
  const { job } = options;
  const overwrite = mayOverwrite(job, batch) === 'always';
  const stored: Copy = { state: 'stored', sourceRun: line.sourceRun, ...storedBy(lane, batch) };
  const words = options.wordsFor(batch.node, overwrite);
  // What gets its name later is asked about then.
  const durability = stage ? undefined : options.durabilityOf(batch.node);

  const found: Keys[] = [];
  const setApart: Keys[] = [];
  if (byElements) {
    const keys = await storeAs('elements', batch.keys, undefined);
    return { keys, found: joined([noKeys, ...found]), apart: noKeys };
  }

  const parts: Promise<Keys>[] = [];
  for (let from = 0; from < batch.keys.count;) {
    const count = await window.enterSome(batch.keys.count - from);
    const keys = slice(batch.keys, from, from + count);
    const part = storePart(keys);
    // Whoever awaits it comes later than its end may.
    part.catch(() => undefined);
    parts.push(part);
    from += keys.count;
  }
  const keys = joined(await Promise.all(parts));
  return { keys, found: joined([noKeys, ...found]), apart: joined([noKeys, ...setApart]) };

  async function storePart(all: Keys): Promise<Keys> {
    const asksFirst = form === 'payload' || sizes?.ofStrings === true;
    const keys = asksFirst ? await entered(all) : all;
    if (keys.count === 0) return noKeys;
    if (form === 'payload' && shapes.payloadsRefused) return storeAs('elements', keys, undefined);
    const ttls = options.expiry.isKnown() ? askDeadlines(line.source, keys) : undefined;
    const passing = pass(keys, form, ttls);
    const noTtls = ttls ? undefined : options.expiry.confirmNone(line.source);
    noTtls?.catch(() => undefined);
    const first = await passing;
    const whole = await settle(keys, first, form);
    if (noTtls && !(await noTtls)) {
      // One has got a TTL since the last part: all go round again, and are asked for theirs.
      const why = { class: 'changing', message: 'its TTL was set meanwhile' } as const;
      outcome.retry(withSent(whole), { ...why, copy: stage ? batch.copy : stored });
      if (form === 'payload') await countGone(keys, first);
      else outcome.retry(chosen(keys, first.absent), why);
      return noKeys;
    }
    if (form === 'payload' || first.refusedBySource !== undefined) {
      await countGone(keys, first);
      return whole;
    }
    shapes.note(keys.count - first.absent.length, keys.count);
    if (first.absent.length === 0) return whole;
    const others = chosen(keys, first.absent);
    const inOnePiece = asksFirst ? undefined : await placesInOnePiece(others);
    const places = inOnePiece?.map((at) => first.absent[at] as number) ?? first.absent;
    if (places.length === 0) return whole;
    await window.enter(places.length);
    const as = shapes.payloadsRefused ? 'elements' : 'payload';
    const theirTtls = ttls && Float64Array.from(places, (place) => ttls[place] as number);
    return joined([whole, await storeAs(as, chosen(keys, places), theirTtls)]);
  }

  /** Those that may stay in the window, into which all have gone. */
  async function entered(all: Keys): Promise<Keys> {
    let keys = noKeys;
    try {
      const places = await placesInOnePiece(all);
      keys = places ? chosen(all, places) : all;
      return keys;
    } finally {
      if (keys.count < all.count) window.leave(all.count - keys.count, 0);
    }
  }

  /**
   * The places of those that are not too large to travel in one piece; the others are set apart.
   * Undefined: that is all of them.
   */
  async function placesInOnePiece(keys: Keys): Promise<readonly number[] | undefined> {
    const beyond = sizes ? await sizes.beyond(line.source, keys) : [];
    if (beyond.length === 0) return undefined;
    setApart.push(chosen(keys, beyond));
    const large = new Set(beyond);
    return [...Array(keys.count).keys()].filter((place) => !large.has(place));
  }

  async function storeAs(
    as: Form | 'elements',
    keys: Keys,
    ttls: Float64Array | undefined,
  ): Promise<Keys> {
    const passed = await pass(keys, as, ttls);
    await countGone(keys, passed);
    return settle(keys, passed, as);
  }

  async function pass(
    keys: Keys,
    as: Form | 'elements',
    ttls: Float64Array | undefined,
  ): Promise<Passed> {
    let bytes = 0;
    let isInWindow = !byElements;
    // Replicas may take their time: others must be able to go on meanwhile.
    const answered = (valueBytes: number): void => {
      if (isInWindow) window.leave(keys.count, valueBytes);
      isInWindow = false;
    };
    try {
      const { node, asking } = batch;
      if (as === 'elements') stage?.forget(keys);
      const passed =
        as === 'elements'
          ? await options.elements.pass({
              ...{ source: line.source, keys, node, overwrite, asking, durability },
              trace: byElements ? lane : 'payload',
            })
          : await line.pass({
              ...{ node, lane, form: as, words, ttls, asking, durability, sent: sentValues },
              keys: stage ? stage.begin(keys, ttls) : keys,
              isTemporary: stage !== undefined,
              answered,
            });
      bytes = passed.bytes;
      for (const { place, payload, deadlineMs } of passed.payloads ?? []) {
        sentValues.note(keyAt(keys, place), valueRecord('payload', deadlineMs, frame(payload)));
      }
      const sent = keys.count - passed.absent.length;
      // What each value weighed is not kept: those that were refused count as average ones.
      const taken = passed.lost ? 0 : sent - passed.refusals.length;
      outcome.bytes += sent === 0 ? 0 : Math.round((bytes * taken) / sent);
      return passed;
    } finally {
      answered(bytes);
    }
  }

  async function countGone(keys: Keys, passed: Passed): Promise<void> {
    if (passed.absent.length === 0) return;
    const absent = chosen(keys, passed.absent);
    if (passed.refusedBySource === undefined) {
      await settleAbsent(options, batch, absent, line.sourceRun, outcome);
    } else if (options.sameSlot) {
      const gone = await settleUnserved(line.source, absent, outcome);
      await settleAbsent(options, batch, gone, line.sourceRun, outcome);
    } else {
      settleSourceRefusal(outcome, absent, passed.refusedBySource, 'to read it');
    }
  }

  function withSent(keys: Keys): Keys {
    return sentValues.withValues(keys);
  }

  /** @returns the keys that are whole at the node by this. */
  async function settle(keys: Keys, passed: Passed, as: Form | 'elements'): Promise<Keys> {
    const { address } = batch.node;
    const trouble = passed.lost?.message ?? passed.undurable;
    if (trouble !== undefined) {
      const absent = new Set(passed.absent);
      const places = [...Array(keys.count).keys()].filter((place) => !absent.has(place));
      const message = passed.lost ? trouble : `${address}: ${trouble}`;
      const isStored = passed.lost === undefined && passed.refusals.length === 0;
      const maybe = afterLostConnection(job, batch.copy, 'storing', line.sourceRun);
      // Under temporary names nobody sees them.
      const copy = stage && as !== 'elements' ? batch.copy : isStored ? stored : maybe;
      outcome.retry(withSent(chosen(keys, places)), { class: 'unavailable', message, copy });
      return noKeys;
    }
    for (const { place, why, class: failure } of passed.unmovable ?? []) {
      outcome.fail(chosen(keys, [place]), { class: failure, message: `it can't be moved: ${why}` });
    }
    if (passed.oversized) setApart.push(chosen(keys, passed.oversized));
    let existing = noKeys;
    const whole = [storedOf(keys, passed)];
    for (const { keys: refused, reason, text } of reasonsOf(keys, passed)) {
      const message = `${address} answered: ${text}`;
      if (reason.kind === 'exists') existing = refused;
      else if (as !== 'elements' && travelsOtherwise(reason)) {
        // What is moved aside is deleted aside, which the guard of this line takes for a stranger's
        // writes. So only what is large goes that way, and copies, whose guard is another one there.
        if (isVersionRefusal(text) && job.mode === 'move') {
          shapes.payloadsRefused = true;
          await window.enter(refused.count);
          whole.push(await storeAs('elements', refused, undefined));
        } else setApart.push(refused);
      } else settleVerdict(outcome, refused, reason, message);
    }
    if (existing.count > 0)
      found.push(await settleExisting(options, batch, existing, line.sourceRun, outcome));
    return joined(whole);
  }
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
  const places = [...Array(keys.count).keys()];
  const answers = await Promise.all(
    places.map((place) => source.call('EXISTS', keyAt(keys, place))),
  );
  const gone: number[] = [];
  for (const [place, answer] of answers.entries()) {
    const key = slice(keys, place, place + 1);
    if (answer === 0) gone.push(place);
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

function reasonsOf(keys: Keys, passed: Passed): { keys: Keys; reason: Verdict; text: string }[] {
  if (passed.refusals.length === 0) return [];
  const refusals = passed.refusals.map(({ place, text }) => {
    const reason: Verdict = text === null ? { kind: 'exists' } : verdictOf(text);
    // MOVED and ASK name a slot each, and mean the same for all of them.
    const id =
      reason.kind === 'retry'
        ? `${reason.class} ${reason.askAt ?? ''}`
        : reason.kind === 'exists'
          ? 'exists'
          : (text ?? '');
    return { place, id, reason: { reason, text: text ?? '' } };
  });
  return byReason(keys, refusals).map(({ keys: group, reason }) => ({ keys: group, ...reason }));
}
