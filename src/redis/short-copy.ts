/**
 * Copies of some dozens of bytes, which is what keys and most values are: four bytes at a time, which
 * is cheaper than a call of `Buffer.copy` is up to some hundreds, and than one byte at a time is.
 */

/** So many bytes behind the end are copied along: the target needs room for them, and so has the source. */
export const slackBytes = 3;

/** Up to so many bytes this is the cheaper way. */
export const shortBytes = 256;

/** All of the memory from where the bytes begin, so that what stands behind them serves as slack. */
export function viewFrom(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset);
}

/** The same bytes, with slack behind them that is their own. */
export function withSlack(bytes: Buffer): Buffer {
  const larger = Buffer.alloc(bytes.length + slackBytes);
  bytes.copy(larger);
  return larger.subarray(0, bytes.length);
}

/** Copies `length` bytes and up to three more, which mean nothing: the next write covers them. */
export function copyShort(
  from: DataView,
  start: number,
  to: DataView,
  at: number,
  length: number,
): void {
  for (let done = 0; done < length; done += 4) {
    to.setInt32(at + done, from.getInt32(start + done, true), true);
  }
}
