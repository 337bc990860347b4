/** What comparing many keys at one time is given, and what it leaves in doubt. No runtime code stands here. */
import type { Connection } from '../redis/connection.js';

export interface Ends {
  readonly source: Connection;
  readonly node: Connection;
}

/** Places of keys that must be looked at one by one. */
export interface Doubts {
  readonly small: readonly number[];
  /** Few of these at a time: their slices are large. */
  readonly large: readonly number[];
}
