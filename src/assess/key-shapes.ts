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
