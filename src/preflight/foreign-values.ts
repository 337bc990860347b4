/**
 * What of a dump the nodes will not take, counted before the start: values of types that came with a later RDB
 * version than they read, or that only the other product has. Only dumps of such a version are read for it.
 */
import { headOfDump } from '../sources/dump/input.js';
import { headBytes, fileVersionOf, writtenBy } from '../sources/rdb/file-version.js';
import type { ValueType } from '../sources/rdb/value-types.js';
import type { MasterFacts } from './master-facts.js';
import { lookThrough } from './look-through.js';
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
  const all = new Map<ValueType, number>();
  await lookThrough(
    file,
    {
      entry({ db, valueType }) {
        if (databases === 'all' || databases.includes(db)) {
          all.set(valueType, (all.get(valueType) ?? 0) + 1);
        }
        return false;
      },
      other: () => false,
    },
    signal,
  );
  const isRead = ({ since: number }: ValueType): boolean =>
    masters.every((master) => readsFile(master, { number, product, isNewer: false }));
  const counts = new Map<string, number>();
  for (const [type, count] of all) {
    if (!isRead(type)) counts.set(type.name, (counts.get(type.name) ?? 0) + count);
  }
  if (counts.size === 0) return undefined;
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...counts].map(([type, count]) => `${count.toLocaleString('en')} of type ${type}`);
  const values = total === 1 ? 'a value' : `${total.toLocaleString('en')} values`;
  return `${name}${writtenBy(head)} has ${values} in a form that not all nodes know (${kinds.join(', ')}), which will be reported as failed: a server as new as the file, named in --redis-server, gets across what the nodes can hold.`;
}
