/** Keys with their variable parts folded, so that a million of them are one pattern; and hash tags for them. */
import { harmless } from '../quote.js';

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

/** Several shapes as one text; many of the same are not all told. */
export function joinShapes(shapes: readonly string[]): string {
  const told: string[] = [];
  for (const shape of shapes) {
    if (told.at(-1) === '…' && told.at(-2) === shape) continue;
    if (told.length > 1 && told.at(-1) === shape && told.at(-2) === shape) told.push('…');
    else told.push(shape);
  }
  return told.length > 12 ? `${told.slice(0, 12).join(' ')} …` : told.join(' ');
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
