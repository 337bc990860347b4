/**
 * What a key holds, as text that two servers would give alike, and what each write makes of it.
 * The kind of a key stands in its name, so that whoever finds it knows how to read it.
 */

/** When a key expires: at some moment between the two, because nobody saw the server do it. */
interface Deadline {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface State {
  readonly value: string;
  readonly deadline: Deadline | undefined;
}

export type Kind = 'counter' | 'text' | 'hash' | 'list' | 'set' | 'stream';

export const kinds: readonly Kind[] = ['counter', 'text', 'hash', 'list', 'set', 'stream'];

/** The kind that a key's name begins with, but for a prefix that it has been given. */
export function kindOf(key: string): Kind {
  const words: readonly string[] = key.split(':');
  const kind = kinds.find((one) => words.includes(one));
  if (!kind) throw new Error(`${key} is not a key of this suite`);
  return kind;
}

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

export function decrease(key: string): Write {
  return changing(['DECR', key], (value) => String(Number(value) - 1), Number);
}

/** Makes a string anew, whatever it was. */
export function setTo(key: string, value: string): Write {
  return { words: ['SET', key, value], leaves: () => ({ value, deadline: undefined }) };
}

export function append(key: string, token: string): Write {
  return changing(['APPEND', key, token], (value) => value + token, length);
}

export function push(key: string, ...tokens: string[]): Write {
  const count = (value: string): number => itemsOf(value).length;
  const added = itemsText(tokens);
  return changing(['RPUSH', key, ...tokens], (value) => value + added, count);
}

/** Takes the first element; a list without elements is no key any more. */
export function pop(key: string): Write {
  return {
    words: ['LPOP', key],
    leaves: (before) => before && unlessEmpty(before, itemsText(itemsOf(before.value).slice(1))),
  };
}

export const itemsOf = (value: string): string[] => value.split(' ').slice(0, -1);
export const itemsText = (items: readonly string[]): string =>
  items.map((item) => `${item} `).join('');

export function addMembers(key: string, ...members: string[]): Write {
  return changing(['SADD', key, ...members], (value) =>
    membersText([...itemsOf(value), ...members]),
  );
}

export function removeMember(key: string, member: string): Write {
  return {
    words: ['SREM', key, member],
    leaves: (before) =>
      before &&
      unlessEmpty(before, itemsText(itemsOf(before.value).filter((one) => one !== member))),
  };
}

export const membersText = (members: readonly string[]): string =>
  itemsText([...new Set(members)].sort());

export function setFields(key: string, ...pairs: [field: string, token: string][]): Write {
  return changing(['HSET', key, ...pairs.flat()], (value) =>
    fieldsText(new Map([...fieldsOf(value), ...pairs])),
  );
}

export function removeField(key: string, field: string): Write {
  return {
    words: ['HDEL', key, field],
    leaves: (before) => {
      const left = fieldsOf(before?.value ?? '').filter(([name]) => name !== field);
      return before && unlessEmpty(before, left.length === 0 ? '' : fieldsText(left));
    },
  };
}

export function fieldsOf(value: string): [field: string, token: string][] {
  return value === '' ? [] : (JSON.parse(value) as [string, string][]);
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

function unlessEmpty(before: State, value: string): State | undefined {
  return value === '' ? undefined : { ...before, value };
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
