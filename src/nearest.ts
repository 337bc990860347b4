/** The word that somebody who mistyped most likely meant. */

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
