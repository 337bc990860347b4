/**
 * Whether a dump is as it was written, found out before anything of it is imported: its checksum
 * stands at its end, and a value that was damaged would go to a node under a fresh checksum of its
 * own, by which the node takes it for sound. What comes as a stream can't be looked at twice.
 */
import type { FileHandle } from 'node:fs/promises';
import { Crc64 } from '../../redis/crc64.js';
import { fileVersionOf, headerBytes } from '../rdb/file-version.js';
import { type FoundWrong, RdbError } from '../rdb/rdb-errors.js';
import { RdbReader } from '../rdb/rdb-reader.js';

const pieceBytes = 4 * 1024 * 1024;
const sumBytes = 8;
const endOpcode = 255;
/** From this version on files have a checksum. */
const firstSummed = 5;

export type Soundness =
  | { readonly kind: 'sound' }
  /** It has no checksum: that is not known. */
  | { readonly kind: 'unsummed' }
  | { readonly kind: FoundWrong; readonly finding: string };

/** @param signal ends it, with a finding that means nothing. */
export async function soundnessOf(
  file: FileHandle,
  path: string,
  signal: AbortSignal,
): Promise<Soundness> {
  const { size } = await file.stat();
  const head = await bytesAt(file, 0, headerBytes);
  const version = fileVersionOf(head.toString('latin1'));
  // Its reader reports what it is instead.
  if (!version) return { kind: 'sound' };
  if (version.number < firstSummed) return { kind: 'unsummed' };
  const tail = await bytesAt(file, size - sumBytes - 1, sumBytes + 1);
  const hasEnd = tail[0] === endOpcode;
  const wanted = tail.subarray(1);
  const isUnsummed = hasEnd && wanted.every((byte) => byte === 0);
  const isSound =
    isUnsummed || (hasEnd && (await sumOf(file, size - sumBytes, signal)).equals(wanted));
  if (signal.aborted) return { kind: 'sound' };
  // There may be something in it that is not known, and is better found before anything is imported.
  const found = isSound && !version.isNewer ? undefined : await whatIsWrong(file, path, hasEnd);
  if (found && (!isSound || found.kind === 'unknown')) return found;
  return { kind: isUnsummed ? 'unsummed' : 'sound' };
}

async function bytesAt(file: FileHandle, at: number, count: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, Math.max(0, at));
  return buffer.subarray(0, bytesRead);
}

async function sumOf(file: FileHandle, end: number, signal: AbortSignal): Promise<Buffer> {
  const sum = new Crc64();
  const buffer = Buffer.allocUnsafe(pieceBytes);
  for (let at = 0; at < end && !signal.aborted;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(pieceBytes, end - at), at);
    if (bytesRead === 0) break;
    sum.update(buffer, 0, bytesRead);
    at += bytesRead;
  }
  const written = Buffer.alloc(sumBytes);
  sum.write(written, 0);
  return written;
}

/** @param hasEnd it ends as a whole file does: then it is not cut off, whatever it looks like. */
async function whatIsWrong(file: FileHandle, path: string, hasEnd: boolean): Promise<Soundness> {
  let at = 0;
  const input = {
    async read(into: Buffer, place: number) {
      const { bytesRead } = await file.read(into, place, into.length - place, at);
      at += bytesRead;
      return bytesRead;
    },
  };
  const ignore = (): void => undefined;
  const reader = new RdbReader(input, path);
  try {
    await reader.begin();
    await reader.read({
      isFull: false,
      entry: ignore,
      announced: ignore,
      library: ignore,
      skipped: ignore,
      large: () => Promise.resolve(),
    });
    return { kind: 'sound' };
  } catch (error) {
    if (!(error instanceof RdbError)) throw error;
    const { kind, finding } = error;
    return { kind: kind === 'cut off' && hasEnd ? 'damaged' : kind, finding };
  }
}
