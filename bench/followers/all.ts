/** What follows a source, in the order in which it is shown. */
import { ours } from './ours.js';
import { redisShake } from './redis-shake.js';
import { replica } from './replica.js';
import type { Follower } from '../types.js';

export const followers: readonly Follower[] = [ours, redisShake, replica];
