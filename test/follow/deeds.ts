/**
 * What writers do to their keys: one command, several in a transaction over several slots, or a script that
 * names no key; and what each leaves.
 */
import type { Random } from '../support/random.js';
import {
  itemsOf,
  itemsText,
  kindOf,
  pop,
  removeField,
  setTo,
  type Span,
  type State,
  type Write,
} from '../chaos/state.js';
import { nextWrite, type Territory } from '../chaos/writes.js';

/** What keys hold; undefined: they are absent. */
export type States = ReadonlyMap<string, State | undefined>;

export interface Deed {
  readonly way: 'plain' | 'transaction' | 'script';
  readonly commands: readonly Write['words'][];
  readonly keys: readonly string[];
  /** @param before what the deed's keys held. */
  leaves(before: States, span: Span): States;
}

export function nextDeed(random: Random, territory: Territory): Deed {
  const chance = random.int(100);
  if (chance < 50) return nextPlainDeed(random, territory);
  if (chance < 62) return several('transaction', random, territory);
  if (chance < 74) return several('script', random, territory);
  if (chance < 78) return of('plain', [dropping(random, territory)]);
  if (chance < 82) {
    const keys = [...new Set([1, 2, 3].map(() => territory.any(random)))];
    return multiKey(['DEL', ...keys], keys, () => new Map(keys.map((key) => [key, undefined])));
  }
  const one = territory.any(random);
  const other = sameKind(one, random, territory);
  if (other === undefined) return nextPlainDeed(random, territory);
  if (chance < 90) return rename(one, other);
  if (chance < 95 && territory.dialect.copy) return copy(one, other);
  if (kindOf(one) === 'list') return moveElement(one, other);
  if (kindOf(one) === 'text') return setBoth(one, other, String(random.int(2 ** 32)));
  return nextPlainDeed(random, territory);
}

/** One command on one key, as a cluster takes it. */
export function nextPlainDeed(random: Random, territory: Territory): Deed {
  return of('plain', [nextWrite(random, territory)]);
}

type KeyWrite = ReturnType<typeof nextWrite>;

function several(way: 'transaction' | 'script', random: Random, territory: Territory): Deed {
  const count = 2 + random.int(3);
  return of(
    way,
    Array.from({ length: count }, () => nextWrite(random, territory)),
  );
}

/** Takes away what a key has, until it has nothing any more. */
function dropping(random: Random, territory: Territory): KeyWrite {
  const key = territory.any(random);
  if (kindOf(key) === 'list') return [key, pop(key)];
  if (kindOf(key) === 'hash') return [key, removeField(key, String(random.int(6)))];
  return nextWrite(random, territory);
}

/** A deed made of writes. */
export function of(way: Deed['way'], writes: readonly KeyWrite[]): Deed {
  return {
    way,
    commands: writes.map(([, { words }]) => words),
    keys: [...new Set(writes.map(([key]) => key))],
    leaves(before, span) {
      const states = new Map(before);
      for (const [key, write] of writes) states.set(key, write.leaves(states.get(key), span));
      return states;
    },
  };
}

function multiKey(words: Write['words'], keys: readonly string[], leaves: Deed['leaves']): Deed {
  return { way: 'plain', commands: [words], keys, leaves };
}

/** Another key of the same kind, if one comes up. */
function sameKind(key: string, random: Random, territory: Territory): string | undefined {
  const kind = kindOf(key);
  return Array.from({ length: 30 }, () => territory.any(random)).find(
    (one) => one !== key && kindOf(one) === kind,
  );
}

function rename(from: string, to: string): Deed {
  return multiKey(['RENAME', from, to], [from, to], (before) => {
    const state = before.get(from);
    return state ? new Map([[from, undefined] as const, [to, state] as const]) : before;
  });
}

function copy(from: string, to: string): Deed {
  return multiKey(['COPY', from, to, 'REPLACE'], [from, to], (before) => {
    const state = before.get(from);
    return state ? new Map([...before, [to, state]]) : before;
  });
}

function moveElement(from: string, to: string): Deed {
  return multiKey(['RPOPLPUSH', from, to], [from, to], (before) => {
    const state = before.get(from);
    if (!state) return before;
    const items = itemsOf(state.value);
    const last = items.pop() ?? '';
    const there = before.get(to);
    return new Map([
      [from, items.length === 0 ? undefined : { ...state, value: itemsText(items) }],
      [to, { deadline: undefined, ...there, value: itemsText([last]) + (there?.value ?? '') }],
    ]);
  });
}

function setBoth(one: string, other: string, token: string): Deed {
  return multiKey(['MSET', one, `${token}a`, other, `${token}b`], [one, other], (before, span) => {
    const writes = [
      [one, setTo(one, `${token}a`)],
      [other, setTo(other, `${token}b`)],
    ] as const;
    return of('plain', writes).leaves(before, span);
  });
}
