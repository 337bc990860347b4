/**
 * For each slot the shortest text that hashes to it.
 *
 * What is stored beside a key must be of its slot, and the key's own hash tag will not always do: a
 * key without one may hold a `}` anywhere. There are only 16,384 slots, so a table says it all.
 */
import { slotCount, slotOf } from '../../redis/slot.js';

let tags: readonly string[] | undefined;

/** A few letters and digits, to be put between braces. */
export function tagOf(slot: number): string {
  tags ??= findTags();
  return tags[slot] as string;
}

/** Counts upward until every slot was met: some 200,000 tries, a few hundredths of a second. */
function findTags(): readonly string[] {
  const found = new Array<string>(slotCount);
  let missing = slotCount;
  for (let number = 0; missing > 0; number++) {
    const text = number.toString(36);
    const slot = slotOf(Buffer.from(text, 'latin1'), 0, text.length);
    if (found[slot] !== undefined) continue;
    found[slot] = text;
    missing--;
  }
  return found;
}
