/**
 * A close look at one key: whether it really differs, and in what. What differs is looked at twice,
 * so that a key that was written, or expired, between the two sides' answers is not reported.
 */
import { type DeadlineSpan, deadlineSpan, msApart } from '../redis/deadline.js';
import { type Reply, textOf } from '../redis/reply.js';
import { formatDuration } from '../format.js';
import type { Cluster } from './cluster.js';
import { type Asker, type Pair, type Places, refusing } from './contents/asker.js';
import { typeRow } from './contents/types.js';
import type { Difference, DifferenceKind } from './difference.js';
import { askAt, type Server, type Word } from './server.js';

export interface Examination {
  readonly source: Server;
  readonly cluster: Cluster;
  readonly toleranceMs: number;
  /** Types and TTLs only. */
  readonly fast: boolean;
}

export type Finding = Pick<Difference, 'kind' | 'message'>;

/**
 * @param name what the key is called in the cluster.
 * @returns how the key differs; `gone` when the source has it no more, undefined when it does not.
 */
export async function examine(
  key: Buffer,
  by: Examination,
  name = key,
): Promise<Finding | 'gone' | undefined> {
  const first = await look(key, name, by);
  return typeof first === 'object' ? look(key, name, by) : first;
}

async function look(
  key: Buffer,
  name: Buffer,
  by: Examination,
): Promise<Finding | 'gone' | undefined> {
  const source = await by.source.connection();
  const ours = refusing(by.source.name, (words) => askAt(source, words));
  // Who asks knows the source's name only; the very object that is the key stands for it.
  const named = (words: readonly Word[]) => words.map((word) => (word === key ? name : word));
  const theirs = refusing('the cluster', (words) => by.cluster.ask(name, named(words)));
  return compareBoth(key, ours, theirs, by);
}

const bothEnds: Places = { here: 'at the source', there: 'in the cluster' };

/** Compares a key at two places by type, deadline and value. */
export async function compareBoth(
  key: Buffer,
  ours: Asker,
  theirs: Asker,
  by: Pick<Examination, 'toleranceMs' | 'fast'>,
  places: Places = bothEnds,
): Promise<Finding | 'gone' | undefined> {
  const [here, there] = await Promise.all([outline(ours, key), outline(theirs, key)]);
  if (here.type === 'none') return 'gone';
  if (there.type === 'none') {
    // What is about to expire may have done so over there.
    if (here.ttlMs >= 0 && here.ttlMs <= by.toleranceMs) return 'gone';
    return found('missing', `a ${here.type} ${places.here}`);
  }
  if (here.type !== there.type) {
    return found('type', `a ${here.type} ${places.here}, a ${there.type} ${places.there}`);
  }
  const deadline = ttlsApart(here, there, by.toleranceMs, places);
  const value = by.fast
    ? undefined
    : await contentsApart(key, here.type, ours, theirs, { ...by, places });
  if (value !== undefined) {
    return found('value', deadline === undefined ? value : `${value}; ${deadline}`);
  }
  return deadline === undefined ? undefined : found('ttl', deadline);
}

function found(kind: DifferenceKind, message: string): Finding {
  return { kind, message };
}

interface Outline {
  readonly type: string;
  /** Less than 0: it does not expire. */
  readonly ttlMs: number;
  readonly deadline: DeadlineSpan | undefined;
}

async function outline(ask: Asker, key: Buffer): Promise<Outline> {
  const askedMs = Date.now();
  const [type, ttl] = await Promise.all([ask(['TYPE', key]), ask(['PTTL', key])]);
  const ttlMs = Number(textOf(ttl));
  return { type: textOf(type), ttlMs, deadline: deadlineSpan(ttlMs, askedMs) };
}

function ttlsApart(
  { ttlMs: one, deadline }: Outline,
  { ttlMs: other, deadline: otherDeadline }: Outline,
  toleranceMs: number,
  { here, there }: Places,
): string | undefined {
  if (!deadline && !otherDeadline) return undefined;
  if (!otherDeadline) return `expires in ${formatDuration(one)} ${here}, never ${there}`;
  if (!deadline) return `never expires ${here}, in ${formatDuration(other)} ${there}`;
  if (msApart(deadline, otherDeadline) <= toleranceMs) return undefined;
  const when = other < one ? 'earlier' : 'later';
  return `expires ${formatDuration(Math.abs(one - other))} ${when} ${there}`;
}

/** What a slice of a value may come to, about. */
const sliceBytes = 512 * 1024;
const elementsAtMost = 1000;

async function contentsApart(
  key: Buffer,
  type: string,
  source: Asker,
  cluster: Asker,
  { toleranceMs, places }: Pick<Pair, 'toleranceMs' | 'places'>,
): Promise<string | undefined> {
  const { compare, lengthWord } = typeRow(type);
  const perSlice = lengthWord === undefined ? 1 : await sliceOf(key, source, lengthWord);
  const pair: Pair = { key, source, cluster, perSlice, toleranceMs, places };
  return compare(pair);
}

/** How many elements make a slice, by their average size. */
async function sliceOf(key: Buffer, ask: Asker, lengthWord: string): Promise<number> {
  const unknown = (): Reply => 0;
  const [length, bytes] = await Promise.all([
    ask([lengthWord, key]).then(Number, unknown),
    ask(['MEMORY', 'USAGE', key]).then(Number, unknown),
  ]);
  const elementBytes = Number(bytes) / Math.max(1, Number(length)) || sliceBytes / 100;
  return Math.max(1, Math.min(elementsAtMost, Math.floor(sliceBytes / elementBytes)));
}
