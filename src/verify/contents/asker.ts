/** How the contents of one key are asked for, on either side. */
import { RefusedError } from '../../errors.js';
import { ErrorReply, type Reply, textOf } from '../../redis/reply.js';
import { harmless } from '../../quote.js';
import type { Word } from '../server.js';

/** Gives the answer. @throws RefusedError when the server refuses. */
export type Asker = (words: readonly Word[]) => Promise<Reply>;

/** The two places that hold a key. */
export interface Pair {
  readonly key: Buffer;
  readonly source: Asker;
  readonly cluster: Asker;
  /** How many elements to ask for at one time. */
  readonly perSlice: number;
  readonly toleranceMs: number;
  readonly places: Places;
}

/** What to call the two sides in sentences: `at the source`, `in the cluster`. */
export interface Places {
  readonly here: string;
  readonly there: string;
}

/** @returns what differs, as a clause; undefined: nothing. */
export type Comparison = (pair: Pair) => Promise<string | undefined>;

export function refusing(name: string, ask: (words: readonly Word[]) => Promise<Reply>): Asker {
  return async (words) => {
    const reply = await ask(words);
    if (!(reply instanceof ErrorReply)) return reply;
    throw new RefusedError(`${name} refused ${String(words[0])}: ${reply.text}`, reply.text);
  };
}

/** The same question on both sides, at the same time. */
export function askBoth({ source, cluster }: Pair, ...words: Word[]): Promise<[Reply, Reply]> {
  return Promise.all([source(words), cluster(words)]);
}

export function itemsOf(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? reply : [];
}

/** Whether two replies say the same. */
export function alike(one: Reply | undefined, other: Reply | undefined): boolean {
  if (Buffer.isBuffer(one) && Buffer.isBuffer(other)) return one.equals(other);
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, at) => alike(item, other[at]));
  }
  if (typeof one === 'object' || typeof other === 'object') return one === other;
  return textOf(one) === textOf(other);
}

/** `12 elements at the source, 11 in the cluster` when these lengths differ. */
export function lengthsApart(
  { places: { here, there } }: Pair,
  [one, other]: readonly [Reply, Reply],
  what: string,
): string | undefined {
  if (one === other) return undefined;
  return `${textOf(one)} ${what} ${here}, ${textOf(other)} ${there}`;
}

const shownLength = 60;

/** The name of an element, made harmless. */
export function quoteName(bytes: Reply | undefined): string {
  const text = harmless(JSON.stringify(Buffer.isBuffer(bytes) ? bytes.toString('utf8') : ''));
  return text.length > shownLength ? `${text.slice(0, shownLength)}…` : text;
}

/** The fields of an answer of names and values. */
export function fieldsOf(reply: Reply): ReadonlyMap<string, Reply> {
  const items = itemsOf(reply);
  const fields = new Map<string, Reply>();
  for (let at = 0; at + 1 < items.length; at += 2) {
    fields.set(textOf(items[at]), items[at + 1] as Reply);
  }
  return fields;
}
