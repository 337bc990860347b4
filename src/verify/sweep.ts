/** Goes through pages of keys with a few of them under way at a time: memory has a bound, and so has waiting. */
import { chosen } from '../redis/keys.js';
import type { Keys } from '../types.js';

/** So many keys are asked for at one time; SCAN's pages are about as large. */
const pagesAtOnce = 12;

/** @throws what the work throws first, once all that had begun is over. */
export async function sweep(
  pages: AsyncIterable<Keys>,
  signal: AbortSignal,
  work: (page: Keys) => Promise<void>,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  const failures: unknown[] = [];
  for await (const page of pages) {
    const one = work(page)
      .catch((error: unknown) => failures.push(error))
      .then(() => void underWay.delete(one));
    underWay.add(one);
    if (underWay.size >= pagesAtOnce) await Promise.race(underWay);
    if (failures.length > 0 || signal.aborted) break;
  }
  await Promise.all(underWay);
  if (failures.length > 0) throw failures[0];
}

/** Works on each of some, so many at a time, and begins no other once the signal is aborted. */
export async function forEach<T>(
  some: readonly T[],
  signal: AbortSignal,
  atOnce: number,
  work: (one: T, at: number) => Promise<void>,
): Promise<void> {
  const entries = some.entries();
  let failed = false;
  const workers = Array.from({ length: Math.min(atOnce, some.length) }, async () => {
    for (const [at, one] of entries) {
      if (failed || signal.aborted) return;
      try {
        await work(one, at);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  });
  const ended = await Promise.allSettled(workers);
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
}

/**
 * A random part of the keys.
 * @param share 0 to 1; of any number of keys about that many are taken.
 */
export function sampler(share: number): (page: Keys) => Keys {
  if (share >= 1) return (page) => page;
  return (page) => {
    const places: number[] = [];
    for (let place = 0; place < page.count; place++) if (Math.random() < share) places.push(place);
    return chosen(page, places);
  };
}
