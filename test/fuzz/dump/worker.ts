/** Tries one dump after the other, and says before each which one it is. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Endings, FuzzJob } from '../run.js';
import { tryDump } from './trial.js';

const { seed, from, inputs, current } = workerData as FuzzJob;
const endings: Record<string, Endings> = {};

for (let nth = from; nth < from + inputs; nth++) {
  Atomics.store(current, 0, nth);
  const { name, ending } = await tryDump(seed, nth);
  (endings[name] ??= { done: 0, waiting: 0, refused: 0 })[ending]++;
}
parentPort?.postMessage(endings);
