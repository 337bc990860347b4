/**
 * Names of keys that do not exist, on which commands are tried: to see whether a user may run them, and
 * whether a server takes them now. A user may be restricted to keys of some names, so these are like the names
 * that are selected (`--match`).
 */
import { randomUUID } from 'node:crypto';
import { matchesGlob } from './glob.js';

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
