/** Every rival, in the order they are shown. */
import type { Rival } from '../types.js';
import { floorBatched, floorSingle } from './floor.js';
import { auto, migrate, relay, sparing, unguarded } from './ours.js';
import { redisCli } from './redis-cli.js';
import { shakeScan, shakeSync } from './redis-shake.js';

export const rivals: readonly Rival[] = [
  relay,
  unguarded,
  migrate,
  auto,
  sparing,
  redisCli,
  shakeScan,
  shakeSync,
  floorSingle,
  floorBatched,
];
