/** Small values of every type in turn, a third of them with TTLs: most like a real instance. */
import { fillMixed } from '../../test/support/bulk.js';
import type { Dataset } from '../types.js';

export const mix: Dataset = {
  name: 'mix',
  title: 'all small types, a third with TTLs',
  keys: 300_000,
  slowKeys: 100_000,
  quickKeys: 120_000,
  quickSlowKeys: 15_000,
  // What the commands that made it carried, roughly.
  bytesPerKey: 24,
  read: 'DUMP',
  expires: true,
  fill: (source, keys) => fillMixed(source, keys),
};
