/** Which of a server's databases are wanted, which hold keys, and which would be forgotten. */
import { UsageError } from '../errors.js';
import type { Control } from '../redis/control.js';
import type { Endpoint } from '../redis/endpoint.js';

/** How many databases there are the server says; a number may be this long. */
const database = /^\d{1,9}$/;

/** A database that is taken along. */
interface Taken {
  readonly control: Pick<Control, 'address'>;
  readonly endpoint: Pick<Endpoint, 'db'>;
  /** The databases of its server that hold keys. */
  readonly filled: readonly number[];
}

/** @returns undefined when nothing was said. */
export function readDatabases(given: readonly string[]): readonly number[] | 'all' | undefined {
  const words = given.flatMap((text) => text.split(',')).map((word) => word.trim());
  if (words.length === 0) return undefined;
  if (words.includes('all') && words.length === 1) return 'all';
  if (!words.every((word) => database.test(word))) {
    throw new UsageError('--db must be numbers with commas between them, as in 0,3, or all.');
  }
  return [...new Set(words.map(Number))];
}

/** The databases that hold keys, by INFO keyspace. */
export function filledIn(keyspace: ReadonlyMap<string, string>): readonly number[] {
  const numbers = [...keyspace.keys()].flatMap((name) => {
    const [, digits] = /^db(\d+)$/.exec(name) ?? [];
    return digits === undefined ? [] : [Number(digits)];
  });
  return numbers.sort((one, other) => one - other);
}

/**
 * What is not taken along, in a sentence; undefined: nothing. Whoever then shuts the source down
 * would lose it.
 */
export function leftOut(sources: readonly Taken[]): string[] {
  const taken = new Map<string, { all: readonly number[]; wanted: Set<number> }>();
  for (const { control, filled, endpoint } of sources) {
    const known = taken.get(control.address) ?? { all: filled, wanted: new Set() };
    taken.set(control.address, known);
    known.wanted.add(endpoint.db);
  }
  return [...taken].flatMap(([address, { all, wanted }]) => {
    const others = all.filter((db) => !wanted.has(db));
    if (others.length === 0) return [];
    const which =
      others.length === 1 ? `database ${String(others[0])}` : `databases ${others.join(', ')}`;
    return [
      `${address} has keys in ${which} too, which stay there: say --db all to take them along.`,
    ];
  });
}
