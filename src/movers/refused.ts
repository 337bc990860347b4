/** Keys about which a node would not answer: its slots move, or it is loading. They go round again. */
import type { Copy, Keys, Node } from '../types.js';
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
