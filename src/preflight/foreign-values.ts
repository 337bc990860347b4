/**
 * What of a dump the nodes will not take, counted before the start: values of types that came with a later RDB
 * version than they read, or that only the other product has. Only dumps of such a version are read for it.
 */
import { SourceError } from '../errors.js';
import { headOfDump, openInput } from '../sources/dump/input.js';
import { headBytes, fileVersionOf, writtenBy } from '../sources/rdb/file-version.js';
import { RdbError } from '../sources/rdb/rdb-errors.js';
import { RdbReader } from '../sources/rdb/rdb-reader.js';
import type { MasterFacts } from './master-facts.js';
import { readsFile } from './payloads.js';

type Readers = readonly Pick<MasterFacts, 'product' | 'rdbVersion'>[];

/**
 * @param name of the file, as it was given. @param file what is read; of a pipe nothing can be said.
 * @returns one sentence; undefined: there is nothing to say.
 */
export async function foreignValues(
  { name, file }: { readonly name: string; readonly file: string },
  databases: readonly number[] | 'all',
  masters: Readers,
  signal: AbortSignal,
): Promise<string | undefined> {
  const head = file === '-' ? '' : await headOfDump(file, headBytes);
  const version = fileVersionOf(head);
  if (!version || masters.every((master) => readsFile(master, version))) return undefined;
  const { product } = version;
  const counts = new Map<string, number>();
  const note = ({ db, valueType }: { db: number; valueType: { name: string; since: number } }) => {
    if (databases !== 'all' && !databases.includes(db)) return;
    const of = { number: valueType.since, product, isNewer: false };
    if (masters.every((master) => readsFile(master, of))) return;
    counts.set(valueType.name, (counts.get(valueType.name) ?? 0) + 1);
  };
  await readAll(file, note, signal);
  if (counts.size === 0) return undefined;
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...counts].map(([type, count]) => `${count.toLocaleString('en')} of type ${type}`);
  const values = all === 1 ? 'a value' : `${all.toLocaleString('en')} values`;
  return `${name}${writtenBy(head)} has ${values} in a form that not all nodes know (${kinds.join(', ')}), which will be reported as failed: a server as new as the file, named in --redis-server, gets across what the nodes can hold.`;
}

/** As far as it can be read: what is wrong with a file is told by those who import it. */
async function readAll(
  file: string,
  note: (entry: { db: number; valueType: { name: string; since: number } }) => void,
  signal: AbortSignal,
): Promise<void> {
  const input = await openInput(file);
  const ignore = (): void => undefined;
  try {
    const reader = new RdbReader(input, file);
    await reader.begin();
    await reader.read({
      get isFull() {
        return signal.aborted;
      },
      entry: note,
      large(entry) {
        note(entry);
        return Promise.resolve();
      },
      announced: ignore,
      library: ignore,
      skipped: ignore,
    });
  } catch (error) {
    if (!(error instanceof RdbError) && !(error instanceof SourceError)) throw error;
  } finally {
    await input.close();
  }
}
