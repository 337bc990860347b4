/** Keys with their variable parts folded, so that a million of them are one pattern; and hash tags for them. */
import { harmless } from '../format.js';

/** Numbers, and what looks like an identifier: a UUID, a hash, anything long with digits in it. */
const variable =
  /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?<![A-Za-z0-9])(?=[0-9a-z]*\d)[0-9a-f]{16,}(?![A-Za-z0-9])|\d+/gi;

/** `user:17:friends` → `user:<n>:friends`. @param key one character a byte. */
export function shapeOf(key: string): string {
  return harmless(textOf(key).replace(variable, sign));
}

/**
 * What the keys would be called with a hash tag around a variable part that all of them have in
 * common; undefined when they have none.
 */
export function taggedShapes(keys: readonly string[]): readonly string[] | undefined {
  const [first, ...others] = keys.map((key) =>
    [...textOf(key).matchAll(variable)].map(([part]) => part),
  );
  const common = first?.find((part) => others.every((parts) => parts.includes(part)));
  if (common === undefined) return undefined;
  return keys.map((key) => {
    let isTagged = false;
    const tagged = textOf(key)
      .replace(/[{}]/g, '')
      .replace(variable, (part) => {
        if (isTagged || part !== common) return sign(part);
        isTagged = true;
        return `{${sign(part)}}`;
      });
    return harmless(tagged);
  });
}

const longestBlock = 4;
const partsAtMost = 12;

/** Several shapes or commands as one text; what is repeated, or too long, is shortened. */
export function joinShapes(shapes: readonly string[], separator = ' '): string {
  const told: string[] = [];
  for (let at = 0; at < shapes.length;) {
    const [length, times] = repeatAt(shapes, at);
    const block = shapes.slice(at, at + length);
    told.push(...block);
    if (times > 1) told.push(...block);
    if (times > 2) told.push('…');
    at += length * times;
  }
  return told.length > partsAtMost
    ? [...told.slice(0, partsAtMost), '…'].join(separator)
    : told.join(separator);
}

/** The shortest block at a place that comes three times or more, and how often; or what is there, once. */
function repeatAt(shapes: readonly string[], at: number): readonly [length: number, times: number] {
  for (let length = 1; length <= longestBlock; length++) {
    let same = length;
    while (at + same < shapes.length && shapes[at + same] === shapes[at + same - length]) same++;
    const times = Math.floor(same / length);
    if (times > 2) return [length, times];
  }
  return [1, 1];
}

function sign(part: string): string {
  return /^\d+$/.test(part) ? '<n>' : '<id>';
}

const shownLength = 120;

/** @param key one character a byte. */
function textOf(key: string): string {
  const text = Buffer.from(key, 'latin1').toString('utf8');
  return text.length > shownLength ? `${text.slice(0, shownLength)}…` : text;
}

/*
 * Folds names: `SUNION follow:alice:in follow:alice:out`, and the same of bob and others, are one
 * pattern. That alice is a name shows only in many patterns that are alike but for one part, or for
 * two; a part is what stands between separators.
 */

export const nameSign = '<name>';

/** What folding goes by, and changes. */
export interface Nameable {
  /** Patterns fold only with those of the same group. */
  readonly group: string;
  readonly pattern: string;
  /** The shapes of its keys. */
  readonly shapes: readonly string[];
  /** Its keys with a hash tag around a variable part of them; undefined: none is common to all. */
  readonly tagged: string | undefined;
}

/** So many different parts at one place are names. */
const namesAtLeast = 10;
/** Longer patterns are not tried for two parts at one time. */
const pairedParts = 12;
const rounds = 4;
const separators = /([\s:./|#{}();,]+)/;
const signs: ReadonlySet<string> = new Set(['', '<n>', '<id>', nameSign, '…']);

/** The parts of a text, the separators at odd places. */
const partsOf = (text: string): string[] => text.split(separators);

/**
 * Merges patterns that differ by names only.
 * @param merge makes one of several.
 */
export function foldNames<T extends Nameable>(
  patterns: readonly T[],
  merge: (some: readonly T[], folded: Nameable) => T,
): readonly T[] {
  let left = patterns;
  for (let round = 0; round < rounds; round++) {
    const before = left.length;
    left = foldOnce(left, singles, merge);
    if (left.length === before) left = foldOnce(left, pairs, merge);
    if (left.length === before) break;
  }
  return left;
}

type Masks = (parts: readonly string[]) => readonly (readonly string[])[];

const singles: Masks = (parts) => parts.map((part) => [part]);
const pairs: Masks = (parts) =>
  parts.length > pairedParts
    ? []
    : parts.flatMap((one, at) => parts.slice(at + 1).map((other) => [one, other]));

function foldOnce<T extends Nameable>(
  patterns: readonly T[],
  masksOf: Masks,
  merge: (some: readonly T[], folded: Nameable) => T,
): readonly T[] {
  const known = new Set(patterns.map(({ group, pattern }) => `${group} ${pattern}`));
  /** What each folded pattern stands for: the names at each of its places. */
  const names = new Map<string, Set<string>[]>();
  const choices = patterns.map((one) => {
    const keyParts = new Set(one.shapes.flatMap(partsOf));
    const words = partsOf(one.pattern);
    const parts = [...new Set(words)].filter((word) => isName(word) && keyParts.has(word));
    return masksOf(parts).map((mask) => {
      const id = `${one.group} ${hidden(words, mask)}`;
      const sets = names.get(id) ?? mask.map(() => new Set<string>());
      names.set(id, sets);
      mask.forEach((part, at) => sets[at]?.add(part));
      return { id, mask };
    });
  });
  const groups = new Map<string, { one: T; mask: readonly string[] }[]>();
  const kept: T[] = [];
  patterns.forEach((one, at) => {
    const fewest = (id: string): number =>
      known.has(id) ? Infinity : Math.min(...(names.get(id) ?? []).map(({ size }) => size));
    const [best] = (choices[at] ?? [])
      .filter(({ id }) => fewest(id) >= namesAtLeast)
      .sort((a, b) => fewest(b.id) - fewest(a.id));
    // One that is folded already is where others go.
    const id = best?.id ?? `${one.group} ${one.pattern}`;
    const folded = { one, mask: best?.mask ?? [] };
    if (!best && !one.pattern.includes(nameSign)) kept.push(one);
    else if (!groups.get(id)?.push(folded)) groups.set(id, [folded]);
  });
  for (const some of groups.values()) {
    kept.push(
      merge(
        some.map(({ one }) => one),
        foldedOf(some),
      ),
    );
  }
  return kept;
}

function isName(part: string): boolean {
  return !signs.has(part) && !/^[\s:./|#{}();,]/.test(part);
}

function masked(text: string, mask: readonly string[]): string {
  return hidden(partsOf(text), mask);
}

function hidden(parts: readonly string[], mask: readonly string[]): string {
  return parts.map((part) => (mask.includes(part) ? nameSign : part)).join('');
}

function foldedOf(
  some: readonly { readonly one: Nameable; readonly mask: readonly string[] }[],
): Nameable {
  const [first] = some as [(typeof some)[number]];
  const { one, mask } = first;
  const hide = (text: string): string => masked(text, mask);
  const tags = some.map((each) => tagOf(each.one, each.mask));
  return {
    group: one.group,
    pattern: hide(one.pattern),
    shapes: one.shapes.map(hide),
    tagged: tags.every((tag) => tag !== undefined) ? tags[0] : undefined,
  };
}

/** The tag that it has already, or one around a name that all its keys have in common. */
function tagOf({ shapes, tagged }: Nameable, mask: readonly string[]): string | undefined {
  if (tagged !== undefined) return masked(tagged, mask);
  const common = commonParts(shapes).find((part) => mask.includes(part));
  if (common === undefined) return undefined;
  return [...new Set(shapes.map((shape) => masked(taggedAt(shape, common), mask)))].join(' ');
}

/** Parts that all shapes have, no matter where. */
export function commonParts(shapes: readonly string[]): readonly string[] {
  const [first = [], ...others] = shapes.map((shape) => partsOf(shape).filter(isName));
  return first.filter((part) => others.every((parts) => parts.includes(part)));
}

/** The shape with a hash tag around a part, in place of the one that it may have. */
export function taggedAt(shape: string, part: string): string {
  let isTagged = false;
  return partsOf(shape.replace(/[{}]/g, ''))
    .map((each) => {
      if (isTagged || each !== part) return each;
      isTagged = true;
      return `{${each}}`;
    })
    .join('');
}
