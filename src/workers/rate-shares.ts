/** How the limits of a run are shared among those who import its sources. */

/** Who uses less than so much of its share could not use more. */
const usedUp = 0.9;
/** What such a one is left to grow by. */
const headroom = 1.25;
/** And at least so much of an equal share, so that it can be seen to want more. */
const leastShare = 0.25;

/**
 * @param limit of all together; undefined: there is none.
 * @param rates what each one moved a second in the last moment.
 * @returns the share of each, which add up to the limit; null: no limit.
 */
export function shareOut(
  limit: number | undefined,
  rates: readonly number[],
): readonly (number | null)[] {
  if (limit === undefined) return rates.map(() => null);
  const equal = limit / rates.length;
  const wanted = rates.map((rate) =>
    rate < equal * usedUp
      ? Math.min(equal, Math.max(rate * headroom, equal * leastShare))
      : Infinity,
  );
  const modest = wanted.filter((rate) => rate !== Infinity);
  const left = limit - modest.reduce((sum, rate) => sum + rate, 0);
  const others = rates.length - modest.length;
  // Where nobody uses their share up, all may.
  if (others === 0) return rates.map(() => Math.max(1, equal));
  return wanted.map((rate) => Math.max(1, rate === Infinity ? left / others : rate));
}
