/** Goes through the records of a dump before it is imported, and keeps none of them. */
import { SourceError } from '../errors.js';
import { openInput } from '../sources/dump/input.js';
import type { Entry } from '../sources/rdb/entry.js';
import { RdbError } from '../sources/rdb/rdb-errors.js';
import { RdbReader } from '../sources/rdb/rdb-reader.js';

/** Each says of what it is given whether that is enough: then nothing more is read. */
export interface Looker {
  entry(entry: Pick<Entry, 'db' | 'valueType'>): boolean;
  /** A function library, or what is skipped. */
  other(): boolean;
}

/**
 * @param signal ends it.
 * @returns how far it came. What is wrong with a file is told by those who import it.
 */
export async function lookThrough(
  file: string,
  looker: Looker,
  signal: AbortSignal,
): Promise<'to the end' | 'far enough' | 'as far as it can be read'> {
  const input = await openInput(file);
  let isEnough = false;
  const other = (): void => {
    isEnough ||= looker.other();
  };
  const isFull = (): boolean => isEnough || signal.aborted;
  try {
    const reader = new RdbReader(input, file);
    await reader.begin();
    await reader.read({
      get isFull() {
        return isFull();
      },
      entry(entry) {
        isEnough ||= looker.entry(entry);
      },
      large(entry) {
        isEnough ||= looker.entry(entry);
        return Promise.resolve();
      },
      announced: () => undefined,
      library: other,
      skipped: other,
    });
    return isFull() ? 'far enough' : 'to the end';
  } catch (error) {
    if (error instanceof RdbError || error instanceof SourceError)
      return 'as far as it can be read';
    throw error;
  } finally {
    await input.close();
  }
}
