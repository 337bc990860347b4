/** The prefix that names get on the way: what its placeholders stand for, and which there are. */
import { UsageError } from '../errors.js';

/**
 * A word in braces that is no placeholder is most likely a slip, and a costly one: braces are a hash
 * tag, so all keys would be of one slot. Who means that doubles them.
 * @throws UsageError
 */
export function checkPrefix(prefix: string | undefined): void {
  const words = prefix?.matchAll(/(?<!\{)\{([a-z]+)\}(?!\})/gi) ?? [];
  for (const [placeholder, word] of words) {
    if (word === 'db' || word === 'from') continue;
    throw new UsageError(
      `--key-prefix knows {db} and {from}, and not ${placeholder}: correct it, or write {${placeholder}} if it is to be a hash tag, which puts all keys into one slot.`,
    );
  }
}

/** @param from the address, or the name of the file, that the keys are from. */
export function filledPrefix(prefix: string, db: number, from: string): Buffer {
  const filled = prefix.replaceAll('{db}', String(db)).replaceAll('{from}', from);
  return Buffer.from(filled.replace(/\{(\{[a-z]+\})\}/gi, '$1'));
}
