/** What types of modules are called, by the ids that stand in dumps (moduleTypeEncodeId in module.c). */
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const idBytes = 9;

/** The name in an id that stands here as a length of 64 bits: nine letters, and ten bits of version. */
export function moduleTypeAt(bytes: Buffer, at: number, end: number): string {
  if (at + idBytes > end) return '?';
  const id = bytes.readBigUInt64BE(at + 1);
  const letterAt = (nth: number): string =>
    letters[Number((id >> BigInt(58 - nth * 6)) & 63n)] ?? '';
  return Array.from({ length: 9 }, (_, nth) => letterAt(nth)).join('');
}
