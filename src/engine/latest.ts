/** The last so many of what goes by, in order. */
export interface Latest<T> {
  add(one: T): void;
  all(): readonly T[];
}

export function latestOf<T>(count: number): Latest<T> {
  let kept: T[] = [];
  return {
    add(one) {
      kept.push(one);
      // Now and then, so that not each one costs a copy.
      if (kept.length > 2 * count) kept = kept.slice(-count);
    },
    all: () => kept.slice(-count),
  };
}
