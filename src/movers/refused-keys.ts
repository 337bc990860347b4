/**
 * What a server's refusal of a key means, and what becomes of the key: it goes round again, or is given
 * up. The texts are the servers' own (Redis' server.c, cluster.c, object.c).
 */
import { refusalIn } from '../redis/source-health.js';
import type { Copy, FailureClass, Keys, Node, Redirect, Retry } from '../types.js';
import { byReason, type OutcomeBuilder } from './outcome.js';

export type Verdict =
  /** The node has the key already. */
  | { readonly kind: 'exists' }
  | { readonly kind: 'retry'; readonly class: FailureClass; readonly redirect?: Redirect }
  | { readonly kind: 'failed'; readonly class: FailureClass };

const retryClasses: ReadonlyMap<string, FailureClass> = new Map([
  ['TRYAGAIN', 'redirected'],
  ['CLUSTERDOWN', 'unavailable'],
  ['LOADING', 'unavailable'],
  ['MASTERDOWN', 'unavailable'],
  ['READONLY', 'unavailable'],
  ['MISCONF', 'unavailable'],
  ['NOREPLICAS', 'unavailable'],
  ['BUSY', 'unavailable'],
  ['IOERR', 'unavailable'],
  ['OOM', 'oom'],
]);

/** @param text an error reply without its leading `-`. */
export function verdictOf(text: string): Verdict {
  const [code = '', , third] = text.split(' ', 3);
  if (code === 'BUSYKEY') return { kind: 'exists' };
  if (code === 'ASK' || code === 'MOVED') {
    const kind = code === 'ASK' ? 'ask' : 'moved';
    const redirect = third && { redirect: { kind, address: bracketed(third) } as const };
    return { kind: 'retry', class: 'redirected', ...redirect };
  }
  const retry = retryClasses.get(code);
  if (retry) return { kind: 'retry', class: retry };
  if (code === 'NOPERM' || code === 'NOAUTH' || code === 'WRONGPASS') {
    return { kind: 'failed', class: 'permission' };
  }
  const isForeign = text.includes('Bad data format') || text.includes('Unsupported foreign data');
  if (isForeign || isVersionRefusal(text)) {
    return { kind: 'failed', class: 'version' };
  }
  if (text.includes('maximum allowed size') || text.includes('invalid bulk length')) {
    return { kind: 'failed', class: 'too-large' };
  }
  return { kind: 'failed', class: 'other' };
}

/** All payloads of that source are refused, whatever is in them. */
export function isVersionRefusal(text: string): boolean {
  return text.includes('DUMP payload version');
}

/** Whether a value that was refused for this may still be taken element by element. */
export function travelsOtherwise(verdict: Verdict): verdict is Verdict & { kind: 'failed' } {
  return (
    verdict.kind === 'failed' && (verdict.class === 'version' || verdict.class === 'too-large')
  );
}

/** An address as nodes are called here: redirections write IPv6 without brackets. */
function bracketed(address: string): string {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
  return host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : address;
}

export interface Refused {
  readonly index: number;
  /** The node's words. */
  readonly text: string;
}

/** Whether another time or another node may give an answer. */
export function isPassing(text: string): boolean {
  return verdictOf(text).kind === 'retry';
}

/** Keys that a node refused: they go round again, or fail. */
export function settleVerdict(
  outcome: OutcomeBuilder,
  keys: Keys,
  verdict: Exclude<Verdict, { kind: 'exists' }>,
  message: string,
  copy?: Copy,
): void {
  if (verdict.kind === 'failed') {
    outcome.fail(keys, { class: verdict.class, message });
    return;
  }
  const { class: why, redirect } = verdict;
  outcome.retry(keys, {
    class: why,
    message,
    ...(redirect && { redirect }),
    ...(copy && { copy }),
  });
}

/** Lets keys go round again about which a node would not answer: slots move, or it is loading. */
export function retryRefused(
  outcome: OutcomeBuilder,
  node: Node,
  keys: Keys,
  refused: readonly Refused[],
  copy?: Copy,
): void {
  settleRefused(
    outcome,
    node,
    keys,
    refused.filter(({ text }) => isPassing(text)),
    copy,
  );
}

/** Keys that a node refused to take: they go round again, or fail. */
export function settleRefused(
  outcome: OutcomeBuilder,
  node: Node,
  keys: Keys,
  refused: readonly Refused[],
  copy?: Copy,
): void {
  const reasons = refused.map(({ index, text }) => ({ index, id: text, reason: text }));
  for (const { keys: some, reason: text } of byReason(keys, reasons)) {
    const verdict = verdictOf(text);
    const met = verdict.kind === 'exists' ? ({ kind: 'failed', class: 'other' } as const) : verdict;
    settleVerdict(outcome, some, met, `${node.address} answered: ${text}`, copy);
  }
}

/** What the source said when it refused something; `refusal`: it refuses commands whatever their keys. */
export type SourceRefusal = { readonly class: 'source'; readonly message: string } & Pick<
  Retry,
  'refusal'
>;

/**
 * @param text the source's error reply.
 * @param what it was asked for: `to delete it`.
 */
export function sourceRefusal(text: string, what: string): SourceRefusal {
  const refusal = refusalIn(text);
  const message = `the source refused ${what}: ${refusal ?? text}`;
  return { class: 'source', message, ...(refusal !== undefined && { refusal }) };
}

/** Keys that the source refused something of: they fail, or wait until it refuses no more. */
export function settleSourceRefusal(
  outcome: OutcomeBuilder,
  keys: Keys,
  text: string,
  what: string,
): void {
  const why = sourceRefusal(text, what);
  if (why.refusal === undefined) outcome.fail(keys, why);
  else outcome.retry(keys, why);
}
