/** Small strings, as caches and counters hold them: what moving costs per key, not per byte. */
import { fillStrings } from '../../test/support/bulk.js';
import type { Dataset } from '../types.js';

export const strings64: Dataset = {
  name: 'strings-64',
  title: 'strings of 64 B',
  keys: 1_000_000,
  slowKeys: 200_000,
  quickKeys: 200_000,
  quickSlowKeys: 20_000,
  bytesPerKey: 64,
  read: 'GET',
  expires: false,
  fill: (source, keys) => fillStrings(source, { count: keys, valueBytes: 64 }),
};
