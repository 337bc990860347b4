/**
 * Glob patterns as the servers understand them, on bytes (stringmatchlen in Redis' util.c): `*`, `?`,
 * `[ab]`, `[^a]`, `[a-z]`, and `\` ahead of what is meant literally. Libraries for globs are made
 * for paths: in theirs a `*` stops at a slash, and they match text.
 */
import { randomUUID } from 'node:crypto';

const star = 42;
const question = 63;
const open = 91;
const close = 93;
const escape = 92;
const caret = 94;
const dash = 45;

/** Whether the whole key matches the pattern. */
export function matchesGlob(pattern: Buffer, key: Buffer): boolean {
  let at = 0;
  let from = 0;
  // Where to go on when a star has to take one byte more.
  let starAt = -1;
  let starFrom = 0;
  while (from < key.length) {
    const step = at < pattern.length ? matchOne(pattern, at, key[from] as number) : undefined;
    if (pattern[at] === star) {
      starAt = at++;
      starFrom = from;
    } else if (step !== undefined) {
      at = step;
      from++;
    } else if (starAt !== -1) {
      at = starAt + 1;
      from = ++starFrom;
    } else return false;
  }
  while (pattern[at] === star) at++;
  return at >= pattern.length;
}

/** @returns where the pattern goes on if its next part takes this byte. */
function matchOne(pattern: Buffer, at: number, byte: number): number | undefined {
  const sign = pattern[at];
  if (sign === question) return at + 1;
  if (sign === open) return matchClass(pattern, at + 1, byte);
  if (sign === escape && at + 1 < pattern.length) {
    return pattern[at + 1] === byte ? at + 2 : undefined;
  }
  return sign === byte ? at + 1 : undefined;
}

function matchClass(pattern: Buffer, start: number, byte: number): number | undefined {
  const negated = pattern[start] === caret;
  let at = negated ? start + 1 : start;
  let found = false;
  // A class that is never closed ends with the pattern, as it does for the servers.
  while (at < pattern.length && pattern[at] !== close) {
    if (pattern[at] === escape && at + 1 < pattern.length) at++;
    const low = pattern[at] as number;
    if (pattern[at + 1] === dash && at + 2 < pattern.length) {
      const high = pattern[at + 2] as number;
      if (byte >= Math.min(low, high) && byte <= Math.max(low, high)) found = true;
      at += 3;
    } else {
      if (low === byte) found = true;
      at++;
    }
  }
  return found === negated ? undefined : at + 1;
}

/** Which names are wanted: globs one of which a key must match (none: every key does), and others that it may not. */
interface NameGlobs {
  readonly match: readonly string[];
  readonly exclude: readonly string[];
}

export function nameFilter(globs: NameGlobs): (key: Buffer) => boolean {
  const match = globs.match.map((glob) => Buffer.from(glob));
  const exclude = globs.exclude.map((glob) => Buffer.from(glob));
  return (key) =>
    (match.length === 0 || match.some((glob) => matchesGlob(glob, key))) &&
    !exclude.some((glob) => matchesGlob(glob, key));
}

/*
 * Names of keys that do not exist, on which commands are tried: to see whether a user may run them, and
 * whether a server takes them now. A user may be restricted to keys of some names, so these are like the names
 * that are selected (`--match`).
 */

const trialPrefix = 'cluster-import:trial:';

/** What stands for a class of characters, if it is in it. */
const candidates = 'xa0A_-.:/ '.split('');

/** @returns another name each time. */
export function trialName(): string {
  return `${trialPrefix}${randomUUID()}`;
}

/**
 * One name for each glob, or just any where there are none.
 * @returns nothing for globs without a `*`: what they match may be a key, and trials delete.
 */
export function trialNames(globs: readonly string[]): readonly string[] {
  if (globs.length === 0) return [trialName()];
  return globs.flatMap((glob) => nameLike(glob, trialName()) ?? []);
}

/** A name that is selected by the first of these globs that allows one; where none does, just any. */
export function trialNameLike(globs: readonly string[]): string {
  return trialNames(globs)[0] ?? trialName();
}

/**
 * A name that the glob matches, and that nobody else has thought of.
 * @param text stands in the place of its first `*`.
 * @returns undefined: it has none.
 */
export function nameLike(glob: string, text: string): string | undefined {
  let name = '';
  let isFilled = false;
  for (let at = 0; at < glob.length; at++) {
    const sign = glob[at] as string;
    if (sign === '*') {
      if (!isFilled) name += text;
      isFilled = true;
    } else if (sign === '\\' && at + 1 < glob.length) name += glob[++at] as string;
    else if (sign === '?') name += candidates[0] as string;
    else if (sign === '[') {
      const end = endOfClass(glob, at);
      const group = Buffer.from(glob.slice(at, end));
      const members = [...candidates, ...Array.from(glob.slice(at + 1, end - 1))];
      const member = members.find((one) => matchesGlob(group, Buffer.from(one)));
      if (member === undefined) return undefined;
      name += member;
      at = end - 1;
    } else name += sign;
  }
  return isFilled && matchesGlob(Buffer.from(glob), Buffer.from(name)) ? name : undefined;
}

/** Where the pattern goes on behind a class. */
function endOfClass(glob: string, from: number): number {
  for (let at = from + 1; at < glob.length; at++) {
    if (glob[at] === '\\') at++;
    else if (glob[at] === ']') return at + 1;
  }
  return glob.length;
}
