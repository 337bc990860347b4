/** The two copies of a value that are compared, and how they are asked for what they hold. */
import { RefusedError } from '../errors.js';
import { harmless } from '../format.js';
import type { Word } from '../redis/ask.js';
import { ErrorReply, type Reply, textOf } from '../redis/reply.js';

/** Where a copy lies. */
export interface Side {
  /** As errors name it: `10.0.0.1:6379`. */
  readonly name: string;
  /** As differences name it: `at the source`, `in the cluster`. */
  readonly where: string;
  /** Runs a command; an error reply is a value. */
  ask(words: readonly Word[]): Promise<Reply>;
}

/** A key at its place. */
export interface Copy {
  readonly where: string;
  /**
   * Asks about the key, whose name goes behind the words of the command (`XINFO GROUPS`).
   * @throws RefusedError when the server refuses.
   */
  ask(command: string, ...args: readonly Word[]): Promise<Reply>;
}

export interface Pair {
  readonly source: Copy;
  readonly target: Copy;
  /** How many elements to ask for at one time. */
  readonly perSlice: number;
  /** How far deadlines may be apart. */
  readonly toleranceMs: number;
}

/** @returns what differs, as a clause without any value; undefined: nothing. */
export type ContentsComparison = (pair: Pair) => Promise<string | undefined>;

export function copyAt(side: Side, name: Buffer): Copy {
  return {
    where: side.where,
    async ask(command, ...args) {
      const reply = await side.ask([...command.split(' '), name, ...args]);
      if (!(reply instanceof ErrorReply)) return reply;
      throw new RefusedError(`${side.name} refused ${command}: ${reply.text}`, reply.text);
    },
  };
}

/** The same question on both sides, at the same time. */
export function askBoth(
  { source, target }: Pick<Pair, 'source' | 'target'>,
  command: string,
  ...args: readonly Word[]
): Promise<[Reply, Reply]> {
  return Promise.all([source.ask(command, ...args), target.ask(command, ...args)]);
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
  { source, target }: Pair,
  [one, other]: readonly [Reply, Reply],
  what: string,
): string | undefined {
  if (one === other) return undefined;
  return `${textOf(one)} ${what} ${source.where}, ${textOf(other)} ${target.where}`;
}

const shownLength = 60;

/** The name of an element, made harmless. */
export function quoteName(bytes: Reply | undefined): string {
  const text = harmless(JSON.stringify(Buffer.isBuffer(bytes) ? bytes.toString('utf8') : ''));
  return text.length > shownLength ? `${text.slice(0, shownLength)}…` : text;
}

/**
 * When a key expires, as far as a reply to PTTL says: the server may have looked when it was asked,
 * when its answer came, or in between. A busy server's answer is as good as it is quick.
 */
export interface DeadlineSpan {
  /** In ms since the epoch, by this machine's clock. */
  readonly earliestMs: number;
  readonly latestMs: number;
}

/** Deadlines count as equal within this: reading one and setting it takes time. */
export const deadlineToleranceMs = 1000;

/** @param ttlMs the answer, which has come just now; less than 0: it does not expire. */
export function deadlineSpan(ttlMs: number, askedMs: number): DeadlineSpan | undefined {
  return ttlMs < 0 ? undefined : { earliestMs: askedMs + ttlMs, latestMs: Date.now() + ttlMs };
}

/** How far two deadlines are apart at least, in ms; below 0 where they may be the same. */
export function msApart(one: DeadlineSpan, other: DeadlineSpan): number {
  return Math.max(one.earliestMs, other.earliestMs) - Math.min(one.latestMs, other.latestMs);
}
