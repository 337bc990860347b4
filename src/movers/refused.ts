/** Keys about which a server would not answer: slots move, or it is loading. They go round again. */
import { chosen } from '../redis/keys.js';
import { refusalIn } from '../redis/source-health.js';
import type { Copy, Keys, Node, Retry } from '../types.js';
import { byReason, type OutcomeBuilder } from './outcome.js';
import { verdictOf } from './replies.js';

export interface Refused {
  readonly place: number;
  /** The node's words. */
  readonly text: string;
}

/** Whether another time or another node may give an answer. */
export function isPassing(text: string): boolean {
  return verdictOf(text).kind === 'retry';
}

export function retryRefused(
  outcome: OutcomeBuilder,
  node: Node,
  keys: Keys,
  refused: readonly Refused[],
  copy?: Copy,
): void {
  const reasons = refused.map(({ place, text }) => ({ place, id: text, reason: text }));
  for (const { keys: some, reason: text } of byReason(keys, reasons)) {
    const verdict = verdictOf(text);
    if (verdict.kind !== 'retry') continue;
    const askAt = verdict.askAt === undefined ? {} : { askAt: verdict.askAt };
    const message = `${node.address} answered: ${text}`;
    outcome.retry(some, { class: verdict.class, message, ...askAt, ...(copy && { copy }) });
  }
}

/** Keys that a node refused to take: they go round again, or fail. */
export function settleRefused(
  outcome: OutcomeBuilder,
  node: Node,
  keys: Keys,
  refused: readonly Refused[],
): void {
  retryRefused(outcome, node, keys, refused);
  for (const { place, text } of refused) {
    const verdict = verdictOf(text);
    if (verdict.kind === 'retry') continue;
    const why = verdict.kind === 'failed' ? verdict.class : 'other';
    const message = `${node.address} answered: ${text}`;
    outcome.fail(chosen(keys, [place]), { class: why, message });
  }
}

/**
 * Why keys stay at the source, or go round again where it refuses commands whatever their keys
 * (`refusal` is set then).
 * @param text the source's error reply.
 * @param what it was asked for: `to delete it`.
 */
export function sourceRefusal(
  text: string,
  what: string,
): { readonly class: 'source'; readonly message: string } & Pick<Retry, 'refusal'> {
  const refusal = refusalIn(text);
  const message = `the source refused ${what}: ${refusal ?? text}`;
  return { class: 'source', message, ...(refusal !== undefined && { refusal }) };
}
