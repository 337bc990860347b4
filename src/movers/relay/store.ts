/**
 * Gets a batch's values to their node: which form each travels in, and what the answers mean.
 *
 * Strings travel as themselves, because DUMP compresses and checksums every value. Which keys are
 * strings is learned from MGET, which answers nil for all others at hardly any cost; where strings
 * are rare it is not asked.
 */
import type { Connection } from '../../redis/connection.js';
import { chosen, joined, slice } from '../../redis/keys.js';
import type { Batch, Keys, Node } from '../../types.js';
import { type AbsentOptions, settleAbsent } from '../absent.js';
import type { Aside } from '../aside.js';
import { byReason, type OutcomeBuilder } from '../outcome.js';
import { type Verdict, verdictOf } from '../replies.js';
import type { Durability } from './durability.js';
import type { Expiry } from './expiry.js';
import { type Form, type Line, type Passed, storedOf } from './line.js';
import { askDeadlines } from './ttls.js';
import type { Window } from './window.js';
import type { StoreWords } from './words.js';

export interface StoreOptions extends Pick<Aside, 'compare'>, AbsentOptions {
  /** The commands that store keys at this node; `overwrite` is the run's choice, or false. */
  wordsFor(node: Node, overwrite: boolean): StoreWords;
  /** What the node must confirm before keys are deleted at the source. */
  durabilityOf(node: Node): Durability | undefined;
  /** Whether keys that the cluster has are replaced. */
  readonly overwrite: boolean;
  /** Whether the source keeps its keys. */
  readonly copy: boolean;
  readonly expiry: Expiry;
  readonly window: Window;
  readonly shapes: Shapes;
}

/** What kinds of values have come so far. */
export interface Shapes {
  stringShare: number;
  batches: number;
}

/** Below this share of strings, all values are asked for as payloads at once. */
const fewStrings = 0.2;
/** Then every so many-th batch still finds out whether that has changed. */
const sampleEvery = 16;

export function newShapes(): Shapes {
  return { stringShare: 1, batches: 0 };
}

const none: Keys = { bytes: Buffer.alloc(0), starts: new Uint32Array(1), count: 0 };

/** @returns the keys that are now whole at the node; of the others `outcome` tells. */
export async function store(
  options: StoreOptions,
  line: Line,
  lane: Connection,
  batch: Batch,
  outcome: OutcomeBuilder,
): Promise<Keys> {
  const { window, shapes } = options;
  const form: Form =
    shapes.stringShare < fewStrings && shapes.batches++ % sampleEvery !== 0 ? 'payload' : 'value';
  const overwrite = batch.ours || (options.overwrite && !batch.relisted);
  const words = options.wordsFor(batch.node, overwrite);
  const durability = options.durabilityOf(batch.node);

  const parts: Promise<Keys>[] = [];
  for (let from = 0; from < batch.keys.count;) {
    const keys = slice(batch.keys, from, Math.min(batch.keys.count, from + window.keysPerPart()));
    await window.enter(keys.count);
    const part = storePart(keys);
    // Whoever awaits it comes later than its end may.
    part.catch(() => undefined);
    parts.push(part);
    from += keys.count;
  }
  return joined(await Promise.all(parts));

  async function storePart(keys: Keys): Promise<Keys> {
    const ttls = options.expiry.isKnown() ? askDeadlines(line.source, keys) : undefined;
    const passing = pass(keys, form, ttls);
    const noTtls = ttls ? undefined : options.expiry.confirmNone(line.source);
    noTtls?.catch(() => undefined);
    const first = await passing;
    const stored = await settle(keys, first);
    if (noTtls && !(await noTtls)) {
      // One has got a TTL since the last part: all go round again, and are asked for theirs.
      const why = { class: 'changing', message: 'its TTL was set meanwhile' } as const;
      outcome.retry(stored, { ...why, ours: true });
      if (form === 'payload') await countGone(keys, first);
      else outcome.retry(chosen(keys, first.absent), why);
      return none;
    }
    if (form === 'payload' || first.refusedBySource !== undefined) {
      await countGone(keys, first);
      return stored;
    }
    noteStrings(shapes, keys.count - first.absent.length, keys.count);
    if (first.absent.length === 0) return stored;
    const others = chosen(keys, first.absent);
    const theirTtls = ttls && Float64Array.from(first.absent, (place) => ttls[place] as number);
    await window.enter(others.count);
    const second = await pass(others, 'payload', theirTtls);
    await countGone(others, second);
    return joined([stored, await settle(others, second)]);
  }

  async function pass(keys: Keys, as: Form, ttls: Float64Array | undefined): Promise<Passed> {
    let bytes = 0;
    try {
      const { node, asking } = batch;
      const passage = { keys, node, lane, form: as, words, ttls, asking, durability };
      const passed = await line.pass(passage);
      bytes = passed.bytes;
      const sent = keys.count - passed.absent.length;
      // What each value weighed is not kept: those that were refused count as average ones.
      const taken = passed.lost ? 0 : sent - passed.refusals.length;
      outcome.bytes += sent === 0 ? 0 : Math.round((bytes * taken) / sent);
      return passed;
    } finally {
      window.leave(keys.count, bytes);
    }
  }

  async function countGone(keys: Keys, passed: Passed): Promise<void> {
    if (passed.absent.length === 0) return;
    const absent = chosen(keys, passed.absent);
    if (passed.refusedBySource === undefined) await settleAbsent(options, batch, absent, outcome);
    else {
      const message = `the source answered: ${passed.refusedBySource}`;
      outcome.fail(absent, { class: 'source', message });
    }
  }

  /** @returns the keys that are whole at the node. */
  async function settle(keys: Keys, passed: Passed): Promise<Keys> {
    const { address } = batch.node;
    const trouble = passed.lost?.message ?? passed.undurable;
    if (trouble !== undefined) {
      const absent = new Set(passed.absent);
      const sent = [...Array(keys.count).keys()].filter((place) => !absent.has(place));
      const message = passed.lost ? trouble : `${address}: ${trouble}`;
      const isStored = passed.lost === undefined && passed.refusals.length === 0;
      const trace = isStored ? { ours: true } : batch.doubt ? {} : { doubt: 'stored' as const };
      outcome.retry(chosen(keys, sent), { class: 'unavailable', message, ...trace });
      return none;
    }
    let existing = none;
    for (const { keys: refused, reason, text } of reasonsOf(keys, passed)) {
      const message = `${address} answered: ${text}`;
      if (reason.kind === 'exists') existing = refused;
      else if (reason.kind === 'failed') outcome.fail(refused, { class: reason.class, message });
      else {
        const askAt = reason.askAt === undefined ? {} : { askAt: reason.askAt };
        outcome.retry(refused, { class: reason.class, message, ...askAt });
      }
    }
    const stored = storedOf(keys, passed);
    return existing.count === 0 ? stored : joined([stored, await settleExisting(existing)]);
  }

  /** Equal keys are what an earlier try left; different ones stay as they are, on both sides. */
  async function settleExisting(existing: Keys): Promise<Keys> {
    const compared = await options.compare(batch.node, existing);
    outcome.conflict(compared.different, batch.relisted);
    await settleAbsent(options, batch, compared.absent, outcome);
    if (!batch.relisted || !options.copy) return compared.equal;
    outcome.repeated += compared.equal.count;
    return none;
  }
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

function noteStrings(shapes: Shapes, strings: number, keyCount: number): void {
  const weight = Math.min(1, keyCount / 1024);
  shapes.stringShare = shapes.stringShare * (1 - weight) + (strings / keyCount) * weight;
}
