/** Every dataset, in the order they are run and shown. */
import type { Dataset } from '../types.js';
import { hashes20 } from './hashes.js';
import { mix } from './mix.js';
import { strings10m, strings16k, strings1k } from './noise.js';
import { strings64 } from './strings.js';

export const datasets: readonly Dataset[] = [
  strings64,
  mix,
  hashes20,
  strings1k,
  strings16k,
  strings10m,
];
