/** What the thread of a fuzzer does: tries one input after the other, and says before each which one it is. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Fed } from '../support/feed.js';
import type { Endings, FuzzJob } from './run.js';

/** What an input was made of, and how it ended. */
export interface Tried {
  readonly name: string;
  readonly ending: Fed['ending'];
}

export async function doJob(
  tryOne: (seed: number, nth: number, only: string) => Tried | Promise<Tried>,
): Promise<void> {
  const { seed, from, inputs, only, current } = workerData as FuzzJob;
  const endings: Record<string, Endings> = {};
  for (let nth = from; nth < from + inputs; nth++) {
    Atomics.store(current, 0, nth);
    const { name, ending } = await tryOne(seed, nth, only);
    (endings[name] ??= { done: 0, waiting: 0, refused: 0 })[ending]++;
  }
  parentPort?.postMessage(endings);
}
