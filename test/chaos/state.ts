/**
 * What a key holds, as text that two servers would give alike, and what each write makes of it.
 * The kind of a key stands in its name, so that whoever finds it knows how to read it.
 */

/** When a key expires: at some moment between the two, because nobody saw the server do it. */
export interface Deadline {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface State {
  readonly value: string;
  readonly deadline: Deadline | undefined;
}

export type Kind = 'counter' | 'text' | 'hash' | 'list' | 'stream';

export const kinds: readonly Kind[] = ['counter', 'text', 'hash', 'list', 'stream'];

/** The span of time in which a write was carried out. */
export interface Span {
  readonly sentMs: number;
  readonly heardMs: number;
}

export interface Write {
  readonly words: readonly [name: string, ...args: (string | number)[]];
  /** What the write leaves, undefined for nothing; `before` is undefined when the key was absent. */
  leaves(before: State | undefined, span: Span): State | undefined;
  /** What the server must answer; undefined: that tells nothing. */
  answer?(before: State | undefined): number;
}

export function increase(key: string): Write {
  return changing(['INCR', key], (value) => String(Number(value) + 1), Number);
}

export function append(key: string, token: string): Write {
  return changing(['APPEND', key, token], (value) => value + token, length);
}

export function push(key: string, ...tokens: string[]): Write {
  const count = (value: string): number => value.split(' ').length - 1;
  const added = tokens.map((token) => `${token} `).join('');
  return changing(['RPUSH', key, ...tokens], (value) => value + added, count);
}

export function setFields(key: string, ...pairs: [field: string, token: string][]): Write {
  return changing(['HSET', key, ...pairs.flat()], (value) => {
    const fields = value === '' ? [] : (JSON.parse(value) as [string, string][]);
    return fieldsText(new Map([...fields, ...pairs]));
  });
}

export function fieldsText(fields: Iterable<readonly [string, string]>): string {
  return JSON.stringify([...fields].sort(([one], [other]) => (one < other ? -1 : 1)));
}

export function expire(key: string, ttlMs: number): Write {
  return {
    words: ['PEXPIRE', key, ttlMs],
    leaves: (before, { sentMs, heardMs }) =>
      before && { ...before, deadline: { fromMs: sentMs + ttlMs, toMs: heardMs + ttlMs } },
    answer: (before) => (before ? 1 : 0),
  };
}

export function persist(key: string): Write {
  return {
    words: ['PERSIST', key],
    leaves: (before) => before && { ...before, deadline: undefined },
  };
}

export function remove(key: string): Write {
  return {
    words: ['DEL', key],
    leaves: () => undefined,
    answer: (before) => (before ? 1 : 0),
  };
}

/** A write that keeps the deadline, and makes the key when there is none. */
function changing(
  words: Write['words'],
  change: (value: string) => string,
  answer?: (value: string) => number,
): Write {
  const after = (before: State | undefined): string => change(before?.value ?? '');
  return {
    words,
    leaves: (before) => ({ value: after(before), deadline: before?.deadline }),
    ...(answer && { answer: (before: State | undefined) => answer(after(before)) }),
  };
}

const length = (value: string): number => value.length;

/** Whether a key in this state may have expired by then. */
export function mayHaveExpired({ deadline }: State, nowMs: number): boolean {
  return deadline !== undefined && deadline.fromMs - toleranceMs <= nowMs;
}

/** How far a deadline may shift on the way. */
const toleranceMs = 1000;

/** Whether what was found is this state. */
export function isState(found: State, wanted: State): boolean {
  if (found.value !== wanted.value) return false;
  if (!found.deadline || !wanted.deadline) return found.deadline === wanted.deadline;
  return (
    found.deadline.fromMs <= wanted.deadline.toMs + toleranceMs &&
    found.deadline.toMs >= wanted.deadline.fromMs - toleranceMs
  );
}
