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
  /** What a client of the source may have to wait; undefined: nobody minds. */
  readonly limitMs: number | undefined;
  limit(latencyMs: number | undefined): void;
  /** How long the probe had to wait, at the worst, in the last moment. */
  note(longestMs: number): void;
  /** How many keys may be under way at the source; Infinity without a limit. */
  readonly keys: number;
  /** How many of them in one piece. */
  readonly pieceKeys: number;
  /** How many to list at one time; Infinity without a limit. */
  readonly pageKeys: number;
}

const firstKeys = 16;
const mostKeys = 8192;
const growth = 16;
const shrink = 0.6;
/** Above this share of the limit the amount shrinks, below that one it grows. */
const tooLong = 0.7;
const short = 0.5;
/** Several pieces, so that the source need not wait for the next one to be thought of. */
const pieces = 4;
const largestPiece = 512;
/** Keys that are only listed cost next to nothing, and many may have to be looked through. */
const smallestPage = 100;

export function createAllowance(limitMs: number | undefined): Allowance {
  let limit = limitMs;
  let keys = firstKeys;
  let isNew = true;

  return {
    get limitMs() {
      return limit;
    },
    limit(latencyMs) {
      if (limit === undefined) {
        keys = firstKeys;
        isNew = true;
      }
      limit = latencyMs;
    },
    note(longestMs) {
      if (limit === undefined) return;
      if (longestMs > limit * tooLong) {
        keys = Math.max(1, Math.floor(keys * shrink));
        isNew = false;
      } else if (longestMs < limit * short) {
        keys = Math.min(mostKeys, isNew ? keys * 2 : keys + growth);
      }
    },
    get keys() {
      return limit === undefined ? Infinity : keys;
    },
    get pieceKeys() {
      return limit === undefined ? largestPiece : Math.min(largestPiece, Math.ceil(keys / pieces));
    },
    get pageKeys() {
      return limit === undefined ? Infinity : Math.max(smallestPage, keys);
    },
  };
}
