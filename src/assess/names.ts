/**
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
