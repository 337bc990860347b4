/**
 * What a node's refusal of a key means: go round again, or give it up, and under which class.
 * The texts are the servers' own (Redis' server.c, cluster.c, object.c).
 */
import type { FailureClass } from '../types.js';

export type Verdict =
  /** The node has the key already. */
  | { readonly kind: 'exists' }
  | { readonly kind: 'retry'; readonly class: FailureClass; readonly askAt?: string }
  | { readonly kind: 'failed'; readonly class: FailureClass };

const retryClasses: ReadonlyMap<string, FailureClass> = new Map([
  ['MOVED', 'redirected'],
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
  if (code === 'ASK') {
    return { kind: 'retry', class: 'redirected', ...(third && { askAt: bracketed(third) }) };
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
