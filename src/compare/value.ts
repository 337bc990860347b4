/**
 * Whether a key has the same value at two places, and in what it differs: by type, contents (with the
 * deadlines of a hash's fields, a stream's ids, groups, consumers and pending entries) and deadline.
 * Contents are read in slices, so that size is no excuse. For many keys many.ts is asked first, which
 * finds most equal ones with fewer commands.
 *
 * The two places are a source and a node of the cluster, two sources, or two names at one node.
 */
import { RefusedError } from '../errors.js';
import { formatDuration } from '../format.js';
import { askAt } from '../redis/ask.js';
import type { Connection } from '../redis/connection.js';
import {
  alike,
  askBoth,
  type ContentsComparison,
  type Copy,
  copyAt,
  type DeadlineSpan,
  deadlineSpan,
  deadlineToleranceMs,
  msApart,
  type Side,
} from './pair.js';
import { payloadTrailerBytes } from '../redis/frames.js';
import { type Reply, textOf } from '../redis/reply.js';
import { hashes, lists, sets, sortedSets, streams, strings } from './contents.js';

export type { Side } from './pair.js';

/** In what a value differs: in its type, its contents (deadlines of fields too), or its deadline alone. */
export type ValueDifference = 'type' | 'value' | 'ttl';

export type Comparison =
  | { readonly same: true }
  | {
      readonly same: false;
      readonly gone?: undefined;
      readonly kind: ValueDifference;
      /** One clause, without any value: `field "name" differs`. */
      readonly what: string;
    }
  | { readonly same: false; readonly gone: 'source' }
  | {
      readonly same: false;
      readonly gone: 'target';
      /** What the source has, as TYPE names it. */
      readonly type: string;
      /** Until that expires; less than 0: it does not. */
      readonly ttlMs: number;
    };

export interface CompareOptions {
  /** How far deadlines may be apart, of keys and of fields. */
  readonly toleranceMs?: number;
  /** Types and deadlines of keys only. */
  readonly typesOnly?: boolean;
  /** The deadline of the key does not count: one of the two is temporary. */
  readonly valueOnly?: boolean;
}

export interface SideOptions {
  /** As differences name it; undefined: `on <address>`. */
  readonly where?: string;
  /** The slot is on its way: the node takes each command only behind ASKING. */
  readonly asking?: boolean;
}

/** @param connection must not carry values that pass through, whose pieces nothing may get between. */
export function sideOf(connection: Connection, { where, asking }: SideOptions = {}): Side {
  return {
    name: connection.address,
    where: where ?? `on ${connection.address}`,
    ask(words) {
      if (asking === true) connection.call('ASKING').catch(() => undefined);
      return askAt(connection, words);
    },
  };
}

export const atSource = 'at the source';
export const inCluster = 'in the cluster';

/**
 * Compares one key. What differs is looked at twice, so that a key that was written, or expired,
 * between the two sides' answers counts as what it is. "Same" is said of what was read: whoever acts
 * upon it must guard against writes in between.
 * @param key what it is called at the source, and `name` what it is called at the target.
 * @throws ConnectionError when a side is lost, RefusedError (with the server's words in `reply`) when
 *   one refuses: MOVED, LOADING, NOPERM and the like.
 */
export async function compareValue(
  key: Buffer,
  name: Buffer,
  source: Side,
  target: Side,
  options: CompareOptions = {},
): Promise<Comparison> {
  const copies = { source: copyAt(source, key), target: copyAt(target, name) };
  const first = await look(copies, options);
  return first.same || first.gone === 'source' ? first : look(copies, options);
}

interface Copies {
  readonly source: Copy;
  readonly target: Copy;
}

async function look(copies: Copies, options: CompareOptions): Promise<Comparison> {
  const { toleranceMs = deadlineToleranceMs, typesOnly = false, valueOnly = false } = options;
  const before = await outlines(copies);
  if ('same' in before) return before;
  if (typesOnly) return verdict(undefined, deadlinesApart(before, copies, toleranceMs));
  const value = await contentsApart(before.here.type, copies, toleranceMs);
  // What went away meanwhile was not read to its end.
  const now = await outlines(copies);
  if ('same' in now) return now;
  return verdict(value, valueOnly ? undefined : deadlinesApart(now, copies, toleranceMs));
}

function verdict(value: string | undefined, deadline: string | undefined): Comparison {
  if (value !== undefined) {
    const what = deadline === undefined ? value : `${value}; ${deadline}`;
    return { same: false, kind: 'value', what };
  }
  return deadline === undefined ? { same: true } : { same: false, kind: 'ttl', what: deadline };
}

interface Outline {
  readonly type: string;
  /** Less than 0: it does not expire. */
  readonly ttlMs: number;
  readonly deadline: DeadlineSpan | undefined;
}

interface Outlines {
  readonly here: Outline;
  readonly there: Outline;
}

/** Both outlines where there is a value of the same type at both places. */
async function outlines({ source, target }: Copies): Promise<Outlines | Comparison> {
  const [here, there] = await Promise.all([outline(source), outline(target)]);
  if (here.type === 'none') return { same: false, gone: 'source' };
  if (there.type === 'none') {
    return { same: false, gone: 'target', type: here.type, ttlMs: here.ttlMs };
  }
  if (here.type === there.type) return { here, there };
  const what = `a ${here.type} ${source.where}, a ${there.type} ${target.where}`;
  return { same: false, kind: 'type', what };
}

async function outline(copy: Copy): Promise<Outline> {
  const askedMs = Date.now();
  const [type, ttl] = await Promise.all([copy.ask('TYPE'), copy.ask('PTTL')]);
  const ttlMs = Number(textOf(ttl));
  return { type: textOf(type), ttlMs, deadline: deadlineSpan(ttlMs, askedMs) };
}

function deadlinesApart(
  { here, there }: Outlines,
  { source, target }: Copies,
  toleranceMs: number,
): string | undefined {
  if (!here.deadline && !there.deadline) return undefined;
  if (!there.deadline) {
    return `expires in ${formatDuration(here.ttlMs)} ${source.where}, never ${target.where}`;
  }
  if (!here.deadline) {
    return `never expires ${source.where}, in ${formatDuration(there.ttlMs)} ${target.where}`;
  }
  if (msApart(here.deadline, there.deadline) <= toleranceMs) return undefined;
  const when = there.ttlMs < here.ttlMs ? 'earlier' : 'later';
  return `expires ${formatDuration(Math.abs(here.ttlMs - there.ttlMs))} ${when} ${target.where}`;
}

interface TypeRow {
  readonly compare: ContentsComparison;
  /** Tells how many elements a value has; undefined: it has none. */
  readonly lengthWord?: string;
}

const types: Readonly<Record<string, TypeRow>> = {
  string: { compare: strings },
  list: { compare: lists, lengthWord: 'LLEN' },
  set: { compare: sets, lengthWord: 'SCARD' },
  hash: { compare: hashes, lengthWord: 'HLEN' },
  zset: { compare: sortedSets, lengthWord: 'ZCARD' },
  stream: { compare: streams, lengthWord: 'XLEN' },
};

/** Of a module's values nothing but the payload can be had. */
const moduleType: TypeRow = { compare: payloads };

async function contentsApart(
  type: string,
  copies: Copies,
  toleranceMs: number,
): Promise<string | undefined> {
  const { compare, lengthWord } = types[type] ?? moduleType;
  try {
    const perSlice = lengthWord === undefined ? 1 : await sliceOf(copies.source, lengthWord);
    return await compare({ ...copies, perSlice, toleranceMs });
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    if (isWritten(error.reply)) return 'it was written to while it was compared';
    // A user with the least rights may read payloads, and nothing else. Equal ones are equal values.
    if (error.reply.startsWith('NOPERM') && (await payloads(copies)) === undefined)
      return undefined;
    throw error;
  }
}

/** The key, or its group, is another one since it was first asked for. */
function isWritten(text: string): boolean {
  return /^(WRONGTYPE|NOGROUP) /.test(text) || /no such key/i.test(text);
}

async function payloads(copies: Copies): Promise<string | undefined> {
  const [one, other] = (await askBoth(copies, 'DUMP')).map(withoutTrailer);
  return Buffer.isBuffer(one) && alike(one, other) ? undefined : 'its payload differs';
}

function withoutTrailer(payload: Reply): Reply {
  return Buffer.isBuffer(payload) ? payload.subarray(0, -payloadTrailerBytes) : payload;
}

/** What a slice of a value may come to, about. */
const sliceBytes = 512 * 1024;
const elementsAtMost = 1000;

/** How many elements make a slice, by their average size. */
async function sliceOf(copy: Copy, lengthWord: string): Promise<number> {
  const unknown = (): Reply => 0;
  const [length, bytes] = await Promise.all([
    copy.ask(lengthWord).then(Number, unknown),
    copy.ask('MEMORY USAGE').then(Number, unknown),
  ]);
  const elementBytes = Number(bytes) / Math.max(1, Number(length)) || sliceBytes / 100;
  return Math.max(1, Math.min(elementsAtMost, Math.floor(sliceBytes / elementBytes)));
}
