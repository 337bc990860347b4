/**
 * How much may be under way at a source at one time, so that its other clients need not wait for
 * longer than they may.
 *
 * A server does one thing after the other: whoever asks while it works off what we asked for in one
 * go waits until that is done. So it is the amount under way that is steered, and with it the size
 * of each piece. It doubles until the first wait that is too long, then grows by a little
 * while waits are short and shrinks to a share when one is long: what TCP does to share a line
 * (https://www.rfc-editor.org/rfc/rfc5681), with a wait in the place of a lost packet.
 */
export interface Allowance {
  /** What a client of the source may have to wait; undefined: nobody minds, or it is lifted. */
  readonly limitMs: number | undefined;
  /** @param leastKeys how many may be under way however long clients wait; 1 if not given. */
  limit(latencyMs: number | undefined, leastKeys?: number): void;
  /** While it is lifted, there is no limit. */
  lift(isLifted: boolean): void;
  /** How long the probe had to wait, at the worst, in the last moment. */
  note(longestMs: number): void;
  /** How many keys may be under way at the source; Infinity without a limit. */
  readonly keys: number;
  /** How many of them in one piece. */
  readonly pieceKeys: number;
  /** How many to list at one time; Infinity without a limit. */
  readonly pageKeys: number;
  /** How many to delete at one time; Infinity without a limit. */
  readonly removedKeys: number;
}

const firstKeys = 16;
const mostKeys = 8192;
const growthKeys = 16;
const growthShare = 1 / 16;
const shrink = 0.6;
/** Above this share of the limit the amount shrinks, below that one it grows. */
const tooLong = 0.7;
const short = 0.5;
/** Several pieces, so that the source need not wait for the next one to be thought of. */
const pieces = 4;
const largestPiece = 512;
/** Keys that are only listed cost next to nothing, and many may have to be looked through. */
const smallestPage = 100;

export function createAllowance(): Allowance {
  let limit: number | undefined;
  let keys = firstKeys;
  let least = 1;
  let isNew = true;
  let isLifted = false;
  const holds = (): boolean => limit !== undefined && !isLifted;

  return {
    get limitMs() {
      return isLifted ? undefined : limit;
    },
    limit(latencyMs, leastKeys = 1) {
      if (limit === undefined) {
        keys = firstKeys;
        isNew = true;
      }
      limit = latencyMs;
      least = leastKeys;
      keys = Math.max(least, keys);
    },
    lift(lifted) {
      isLifted = lifted;
    },
    note(longestMs) {
      if (limit === undefined || isLifted) return;
      if (longestMs > limit * tooLong) {
        keys = Math.max(least, Math.floor(keys * shrink));
        isNew = false;
      } else if (longestMs < limit * short) {
        const grown = Math.max(keys + growthKeys, Math.round(keys * (1 + growthShare)));
        keys = Math.min(mostKeys, isNew ? keys * 2 : grown);
      }
    },
    get keys() {
      return holds() ? keys : Infinity;
    },
    get pieceKeys() {
      return holds() ? Math.min(largestPiece, Math.ceil(keys / pieces)) : largestPiece;
    },
    get removedKeys() {
      return holds() ? Math.min(largestPiece, keys) : Infinity;
    },
    get pageKeys() {
      return holds() ? Math.max(smallestPage, keys) : Infinity;
    },
  };
}
