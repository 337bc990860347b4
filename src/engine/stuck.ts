/**
 * Keys that are accounted for and still at the source: conflicts and failures. Later passes leave
 * them out, so that nothing is counted twice.
 */
const limit = 100_000;

export interface StuckKeys {
  add(key: Buffer): void;
  readonly has: (bytes: Buffer, start: number, end: number) => boolean;
  /** More than can be kept: no further pass can tell them from new ones. */
  readonly isFull: boolean;
}

export function stuckKeys(): StuckKeys {
  const keys = new Set<string>();
  return {
    add(key) {
      if (keys.size < limit) keys.add(key.toString('latin1'));
    },
    has: (bytes, start, end) => keys.size > 0 && keys.has(bytes.toString('latin1', start, end)),
    get isFull() {
      return keys.size >= limit;
    },
  };
}
