/** Those of one name as one, in the order in which the names first come. */
export function joinBy<T>(
  all: readonly T[],
  nameOne: (one: T) => string,
  join: (known: T, one: T) => T,
): T[] {
  const joined = new Map<string, T>();
  for (const one of all) {
    const name = nameOne(one);
    const known = joined.get(name);
    joined.set(name, known === undefined ? one : join(known, one));
  }
  return [...joined.values()];
}
