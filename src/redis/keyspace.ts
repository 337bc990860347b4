/** How many keys the databases of a server hold, as INFO keyspace tells: those that hold none are not in it. */
import type { Control } from './control.js';

type Keyspace = Awaited<ReturnType<Control['info']>>;

/** Keys of one database. */
export function keysOfDatabase(keyspace: Keyspace, db: number): number {
  return Number(/keys=(\d+)/.exec(keyspace.get(`db${String(db)}`) ?? '')?.[1] ?? 0);
}

/** How many of them have a TTL; undefined: it does not tell. */
export function expiringOfDatabase(keyspace: Keyspace, db: number): number | undefined {
  const database = keyspace.get(`db${String(db)}`);
  if (database === undefined) return 0;
  const [, expiring] = /expires=(\d+)/.exec(database) ?? [];
  return expiring === undefined ? undefined : Number(expiring);
}

/** The databases that hold keys, in ascending order. */
export function databasesIn(keyspace: Keyspace): readonly number[] {
  const numbers = [...keyspace.keys()].flatMap((name) => {
    const [, digits] = /^db(\d+)$/.exec(name) ?? [];
    return digits === undefined ? [] : [Number(digits)];
  });
  return numbers.sort((one, other) => one - other);
}

/** Keys of all databases. */
export function keysOfAll(keyspace: Keyspace): number {
  return databasesIn(keyspace).reduce((sum, db) => sum + keysOfDatabase(keyspace, db), 0);
}
