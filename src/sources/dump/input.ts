/**
 * Where the bytes of a dump come from: a file, a compressed file, or standard input. All are read
 * once and in order; a plain file can also be read again at any place.
 */
import zlib from 'node:zlib';
import { createReadStream, type Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { Readable, pipeline } from 'node:stream';
import { Decompress } from 'fzstd';
import { messageOf, SourceError, UsageError } from '../../errors.js';
import type { ByteInput } from '../rdb/lengths.js';

export interface DumpInput extends ByteInput {
  /** How much of it was read, 0 to 1; undefined: its length is not known. */
  readonly progress: number | undefined;
  /** Set where any place can be read again. */
  readonly file: FileHandle | undefined;
  /** How long the file is; undefined: not known. */
  readonly bytes: number | undefined;
  /** Which file it is, so that it is known again; undefined: it can't be. */
  readonly identity: string | undefined;
  /** Ends it: nothing more comes. */
  stop(): void;
  close(): Promise<void>;
}

/** By so many it is known how a file is packed. */
const magicBytes = 4;

/** @throws UsageError when it can't be read. */
export async function openInput(path: string): Promise<DumpInput> {
  if (path === '-') return streamInput(process.stdin, path, () => undefined);
  try {
    // A pipe (a FIFO, /dev/fd/63) can be read only once.
    if (!(await stat(path)).isFile()) {
      return streamInput(createReadStream(path), path, () => undefined);
    }
  } catch (error) {
    throw unreadable(path, error);
  }
  const file = await open(path, 'r').catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const found = await file.stat();
    const { size } = found;
    const identity = identityOf(found);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(magicBytes), 0, magicBytes, 0);
    const head = buffer.subarray(0, bytesRead);
    if (methodOf(head) === undefined) return fileInput(file, size, path, identity);
    const raw = file.createReadStream({ start: 0, autoClose: false });
    return streamInput(raw, path, () => raw.bytesRead / size, { file, identity, size });
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * What a dump begins with, unpacked, one character a byte.
 * @returns nothing of what can be read only once.
 * @throws UsageError or SourceError when it can't be read.
 */
export async function headOfDump(path: string, mostBytes: number): Promise<string> {
  const isFile = await stat(path).then((found) => found.isFile());
  if (!isFile) return '';
  const input = await openInput(path);
  try {
    const head = Buffer.alloc(mostBytes);
    let filled = 0;
    for (let count = -1; count !== 0 && filled < mostBytes; filled += count) {
      count = await input.read(head, filled);
    }
    return head.toString('latin1', 0, filled);
  } finally {
    await input.close();
  }
}

function unreadable(path: string, error: unknown): UsageError {
  return new UsageError(`--from ${path} can't be read: ${messageOf(error)}.`, { cause: error });
}

/** Which file it is, and in which state; without spaces. */
export function identityOf({ dev, ino, size, mtimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs].join('.');
}

function fileInput(file: FileHandle, size: number, path: string, identity: string): DumpInput {
  let at = 0;
  let stopped = false;
  return {
    file,
    identity,
    bytes: size,
    get progress() {
      return size === 0 ? 1 : at / size;
    },
    async read(into, place) {
      if (stopped) return 0;
      try {
        const { bytesRead } = await file.read(into, place, into.length - place, at);
        at += bytesRead;
        return bytesRead;
      } catch (error) {
        throw new SourceError(`${path} can't be read any further: ${messageOf(error)}.`, {
          cause: error,
        });
      }
    },
    stop: () => (stopped = true),
    close: () => file.close(),
  };
}

/** @param raw is unpacked on the way, if it is packed. */
function streamInput(
  raw: Readable,
  path: string,
  progress: () => number | undefined,
  below?: { readonly file: FileHandle; readonly identity: string; readonly size: number },
): DumpInput {
  const chunks = unpacked(raw);
  let left = Buffer.alloc(0) as Buffer;
  let stopped = false;

  /** @returns undefined at the end. */
  async function nextChunk(): Promise<Buffer | undefined> {
    try {
      const next = await chunks.next();
      return next.done === true ? undefined : next.value;
    } catch (error) {
      // For its reader, a stream that was stopped fails.
      if (stopped) return undefined;
      throw new SourceError(`${path} can't be read any further: ${messageOf(error)}.`, {
        cause: error,
      });
    }
  }

  return {
    file: undefined,
    identity: below?.identity,
    bytes: below?.size,
    get progress() {
      return progress();
    },
    async read(into, place) {
      while (left.length === 0) {
        const chunk = await nextChunk();
        if (stopped || !chunk) return 0;
        left = chunk;
      }
      const count = left.copy(into, place);
      left = left.subarray(count);
      return count;
    },
    stop() {
      stopped = true;
      raw.destroy();
    },
    async close() {
      raw.destroy();
      await below?.file.close();
    },
  };
}

/*
 * Unpacks what comes compressed, known by its first bytes: gzip, and zstd, by a library. Node has zstd from 22.15 on,
 * and is faster; but what it gives ends without an error where the file is cut off, and behind the first of several
 * frames, so that nobody would notice that something is missing (seen with 22.23 and 24.9).
 */

const gzipMagic = '1f8b';
const zstdMagic = '28b52ffd';
/** A piece of zstd may unpack to a thousand times its size, and more: they are given one by one. */
const pieceBytes = 1024;

type Unpacker = NodeJS.ReadWriteStream & Readable;
type Chunks = AsyncIterable<Buffer>;

/** @param head its first four bytes. @returns undefined where it is not packed. */
function methodOf(head: Buffer): 'gzip' | 'zstd' | undefined {
  const magic = head.toString('hex', 0, magicBytes);
  if (magic.startsWith(gzipMagic)) return 'gzip';
  return magic === zstdMagic ? 'zstd' : undefined;
}

/** What comes, unpacked if it is packed. */
export async function* unpacked(raw: Readable): AsyncGenerator<Buffer> {
  const chunks = raw[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let head = Buffer.alloc(0) as Buffer;
  while (head.length < magicBytes) {
    const next = await chunks.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield head;
    head = Buffer.alloc(0);
    for (;;) {
      const next = await chunks.next();
      if (next.done === true) return;
      yield next.value;
    }
  }
  const method = methodOf(head);
  if (method === undefined) yield* all();
  else if (method === 'gzip') yield* through(zlib.createGunzip(), all());
  else yield* withLibrary(all());
}

async function* through(unpacker: Unpacker, chunks: Chunks): AsyncGenerator<Buffer> {
  // What goes wrong on either side shows in the unpacker.
  pipeline(Readable.from(chunks, { objectMode: false }), unpacker, () => undefined);
  yield* unpacker as AsyncIterable<Buffer>;
}

async function* withLibrary(chunks: Chunks): AsyncGenerator<Buffer> {
  const found: Buffer[] = [];
  // The library goes on using the bytes that it gives.
  const unpacker = new Decompress((bytes) => found.push(Buffer.from(bytes)));
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      unpacker.push(chunk.subarray(at, at + pieceBytes));
      yield* found.splice(0);
    }
  }
  unpacker.push(new Uint8Array(0), true);
  yield* found.splice(0);
}
