/**
 * The kinds of rows that `options.ts` is made of: how each kind of value is read and checked.
 * A value is text on the command line and may be a number or boolean in a program; one reader
 * takes both.
 */
import { UsageError } from '../errors.js';

/**
 * @typeParam T what reading gives.
 * @typeParam Input what programs may give; never: the row is not theirs.
 */
export interface Row<T, Input = T> {
  /** Only its type counts: no row has it. */
  readonly input?: Input;
  /** As commander wants it: `--timeout <ms>`. Secrets have none: they come by the environment. */
  readonly flag?: string;
  readonly env?: string;
  readonly help: string;
  /** For flags with an opposite (`--no-replace`): the help text of that. */
  readonly negated?: string;
  readonly choices?: readonly string[];
  /** The flag may stand several times. */
  readonly repeatable?: boolean;
  /** @throws UsageError when there is no default. */
  fallback(): T;
  /** @throws UsageError naming the flag. */
  read(value: unknown): T;
}

export type Rows = Readonly<Record<string, Row<unknown>>>;

/** The values that a table of rows gives. */
export type Values<R extends Rows> = {
  readonly [Name in keyof R]: R[Name] extends Row<infer T, unknown> ? T : never;
};

type InputOf<R> = R extends Row<unknown, infer Input> ? Input : never;

/** The rows that are for programs. */
type Public<R extends Rows> = {
  [Name in keyof R]: [InputOf<R[Name]>] extends [never] ? never : Name;
}[keyof R];

/**
 * What a program may give for a table of rows: exact types, by which misspelt names don't compile.
 * @typeParam Needed the options that can't be left out.
 */
export type Given<R extends Rows, Needed extends keyof R> = {
  readonly [Name in Needed]: InputOf<R[Name]>;
} & {
  readonly [Name in Exclude<Public<R>, Needed>]?: InputOf<R[Name]> | undefined;
};

type Amount<Unit extends string> = number | `${number}` | `${number}${Unit}`;

/** Milliseconds, or an amount with its unit: `500`, `'500ms'`, `'10s'`, `'2m'`, `'1h'`. */
export type Duration = Amount<'ms' | 's' | 'm' | 'h'>;

/** Bytes, or an amount with its unit: `4096`, `'64kb'`, `'16mb'`, `'1gb'`. */
export type Bytes = Amount<'b' | 'kb' | 'mb' | 'gb'>;

/**
 * Fills in the defaults and checks every value.
 * @param others may have values too, which somebody else reads.
 * @throws UsageError naming the flag.
 */
export function readRows<R extends Rows>(
  rows: R,
  options: Readonly<Record<string, unknown>>,
  others: Rows = {},
): Values<R> {
  const unknown = Object.keys(options).find(
    (name) => !Object.hasOwn(rows, name) && !Object.hasOwn(others, name),
  );
  if (unknown !== undefined) throw new UsageError(`There is no option named ${unknown}.`);
  const values = Object.entries(rows).map(([name, row]) => {
    const value = options[name];
    return [name, value === undefined ? row.fallback() : row.read(value)];
  });
  return Object.fromEntries(values) as Values<R>;
}

interface Words {
  readonly flag: string;
  readonly help: string;
}

/** The flag without its argument: `--timeout`. */
export function flagName(row: Pick<Row<unknown>, 'flag' | 'env'>): string {
  return row.flag?.split(' ', 1)[0] ?? row.env ?? '';
}

/** Text that must be there. */
export function given(words: Words): Row<string> {
  return {
    ...words,
    fallback() {
      throw new UsageError(`${flagName(words)} is missing: pass ${words.flag} (${words.help}).`);
    },
    read: (value) => readText(value, flagName(words)),
  };
}

/** Text that may be left out. */
export function text(words: Words): Row<string | undefined, string> {
  return {
    ...words,
    fallback: () => undefined,
    read: (value) => readText(value, flagName(words)),
  };
}

/** Text that may be given several times. */
export function list(words: Words): Row<readonly string[], string | readonly string[]> {
  return {
    ...words,
    repeatable: true,
    fallback: () => [],
    read(value) {
      const items: unknown[] = Array.isArray(value) ? value : [value];
      return items.map((item) => readText(item, flagName(words)));
    },
  };
}

/** What must not stand in a process list. */
export function secret(words: {
  readonly env: string;
  readonly help: string;
}): Row<string | undefined, string> {
  return {
    ...words,
    fallback: () => undefined,
    // The empty string is how an unset variable looks in many a unit file.
    read: (value) => (value === '' ? undefined : readText(value, words.env)),
  };
}

/** Said or not said; with `negated`, also its opposite. */
export function flag<Fallback extends boolean | undefined>(
  words: Words & { readonly negated?: string },
  fallback: Fallback,
): Row<boolean | Fallback, boolean> {
  return {
    ...words,
    fallback: () => fallback,
    read(value) {
      if (typeof value === 'boolean') return value;
      throw new UsageError(`${flagName(words)} is true or false, and takes no value.`);
    },
  };
}

/** One of a few words. */
export function choice<const Word extends string>(
  words: Words,
  choices: readonly Word[],
  fallback: Word,
): Row<Word> {
  return {
    ...words,
    help: `${words.help}: ${choices.join(', ')} (default: ${fallback})`,
    choices,
    fallback: () => fallback,
    read(value) {
      const found = choices.find((word) => word === value);
      if (found !== undefined) return found;
      const meant = nearest(String(value), choices);
      const hint = meant === undefined ? `, and not ${quoted(value)}.` : `: did you mean ${meant}?`;
      throw new UsageError(`${flagName(words)} must be one of ${choices.join(', ')}${hint}`);
    },
  };
}

/** One of a few words, or none. */
export function optionalChoice<const Word extends string>(
  words: Words,
  choices: readonly Word[],
): Row<Word | undefined, Word> {
  const help = `${words.help}: ${choices.join(', ')}`;
  return { ...choice(words, choices, choices[0] as Word), help, fallback: () => undefined };
}

/** A web address that may be left out. */
export function url(words: Words): Row<string | undefined, string> {
  return {
    ...words,
    fallback: () => undefined,
    read(value) {
      if (typeof value === 'string' && /^https?:/.test(value) && URL.canParse(value)) return value;
      throw new UsageError(`${flagName(words)} must be a web address: write http://host:port.`);
    },
  };
}

interface Bounds {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
}

const durationUnits: Readonly<Record<string, number>> = {
  '': 1,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const byteUnits: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1024,
  mb: 1024 ** 2,
  gb: 1024 ** 3,
};

/** Milliseconds; as text with or without a unit (`500`, `500ms`, `10s`, `2m`, `1h`). */
export function duration(words: Words, bounds: Bounds): Row<number, Duration> {
  return measure(words, bounds, durationUnits, '500ms, 10s or 2m', ' ms');
}

/** The same for what is never so short: a number below 100 without a unit was meant as seconds. */
export function longDuration(words: Words, bounds: Bounds): Row<number, Duration> {
  const row = duration(words, bounds);
  return {
    ...row,
    read(value) {
      const bare = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : 0;
      // Ahead of the bounds: somebody who meant seconds would not see why they are not kept.
      if (bare === 0 || bare >= shortestMs) return row.read(value);
      const typed = String(bare);
      const ways = bare < bounds.min ? `${typed}s` : `${typed}s or ${typed}ms`;
      throw new UsageError(
        `${flagName(words)} ${typed} is ${typed} ms: give its unit, as in ${ways}.`,
      );
    },
  };
}

const shortestMs = 100;

/** Bytes; as text with or without a unit (`4096`, `64kb`, `16mb`, `1gb`). */
export function bytes(words: Words, bounds: Bounds): Row<number, Bytes> {
  return measure(words, bounds, byteUnits, '64kb, 16mb or 1gb', ' bytes');
}

const wholeNumber = 'a whole number';

/** A whole number. */
export function count(words: Words, bounds: Bounds): Row<number> {
  return measure(words, bounds, { '': 1 }, wholeNumber, '');
}

/** A whole number, or `auto`. */
export function countOrAuto(words: Words, bounds: Bounds): Row<number | 'auto', number | 'auto'> {
  const row = measure(words, bounds, { '': 1 }, 'a whole number, or auto', '');
  return {
    ...row,
    choices: ['auto'],
    read: (value) => (value === 'auto' ? value : row.read(value)),
  };
}

/** A whole number that may be left out. */
export function optionalCount(
  words: Words,
  bounds: Omit<Bounds, 'fallback'>,
): Row<number | undefined, number> {
  const row = measure(words, { ...bounds, fallback: 0 }, { '': 1 }, wholeNumber, '');
  return { ...row, help: words.help, fallback: () => undefined };
}

/** Bytes that may be left out. */
export function optionalBytes(
  words: Words,
  bounds: Omit<Bounds, 'fallback'>,
): Row<number | undefined, Bytes> {
  const row = bytes(words, { ...bounds, fallback: 0 });
  return { ...row, help: words.help, fallback: () => undefined };
}

/** Milliseconds, or one of some words, of which one is the default for programs. */
export function durationOr<const Word extends string>(
  words: Words,
  choices: readonly [Word, ...Word[]],
  bounds: Omit<Bounds, 'fallback'> & { readonly fallback: Word },
): Row<number | Word, Duration | Word> {
  const examples = `500ms, 10s or 2m, ${choices.map((word) => `or ${word}`).join(', ')}`;
  const row = measure(words, { ...bounds, fallback: 0 }, durationUnits, examples, ' ms');
  const known: readonly string[] = choices;
  return {
    ...row,
    help: words.help,
    choices,
    fallback: () => bounds.fallback,
    read: (value) => (known.includes(value as string) ? (value as Word) : row.read(value)),
  };
}

/** A flag that the command line lacks: only programs have it. */
export function programFlag(name: string, help: string, fallback: boolean): Row<boolean> {
  return {
    help,
    fallback: () => fallback,
    read(value) {
      if (typeof value === 'boolean') return value;
      throw new UsageError(`${name} is true or false, and takes no value.`);
    },
  };
}

/** The same for tests alone: the types of programs don't have it. */
export function testFlag(name: string): Row<boolean, never> {
  return programFlag(name, '', false) as Row<boolean, never>;
}

function measure(
  words: Words,
  { fallback, min, max }: Bounds,
  units: Readonly<Record<string, number>>,
  examples: string,
  unit: string,
): Row<number, never> {
  return {
    ...words,
    help: `${words.help} (default: ${String(fallback)}${unit})`,
    fallback: () => fallback,
    read(value) {
      const amount = typeof value === 'number' ? value : inUnits(value, units);
      if (Number.isSafeInteger(amount) && amount >= min && amount <= max) return amount;
      const end = max === Number.MAX_SAFE_INTEGER ? `${unit} up` : ` to ${String(max)}${unit}`;
      const range = `from ${String(min)}${end}`;
      throw new UsageError(
        `${flagName(words)} must be ${range}, written as ${examples}, and not ${quoted(value)}.`,
      );
    },
  };
}

function inUnits(value: unknown, units: Readonly<Record<string, number>>): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(String(value).trim()) ?? [];
  return Number(digits) * (units[unit.toLowerCase()] ?? NaN);
}

function readText(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new UsageError(`${name} is empty: give it a value.`);
}

const shownLength = 40;

/** What was given, made harmless and short. */
function quoted(value: unknown): string {
  const text =
    typeof value === 'string' || typeof value === 'number' ? String(value) : typeof value;
  const plain = text.replace(/[^\u0020-\u007e]/g, '?');
  return JSON.stringify(plain.length > shownLength ? `${plain.slice(0, shownLength)}…` : plain);
}

/* The word that somebody who mistyped most likely meant. */

/** Of words that are this far apart, neither is meant by the other. */
const mostChanges = 2;

/** @returns the nearest of the words; undefined when none is near. */
export function nearest(typed: string, words: readonly string[]): string | undefined {
  const [best] = words
    .map((word) => ({ word, changes: changesBetween(typed.toLowerCase(), word.toLowerCase()) }))
    .filter(({ word, changes }) => changes <= Math.min(mostChanges, word.length - 2))
    .sort((one, other) => one.changes - other.changes);
  return best?.word;
}

/** Letters to insert, remove or replace (Levenshtein). */
function changesBetween(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 0; row < from.length; row++) {
    const line = [row + 1];
    for (let column = 0; column < to.length; column++) {
      const replaced = (above[column] ?? 0) + (from[row] === to[column] ? 0 : 1);
      line.push(Math.min(replaced, (above[column + 1] ?? 0) + 1, (line[column] ?? 0) + 1));
    }
    above = line;
  }
  return above.at(-1) ?? 0;
}
