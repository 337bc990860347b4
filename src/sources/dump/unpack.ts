/**
 * Unpacks what comes compressed, known by its first bytes: gzip, and zstd, by a library. Node has zstd from 22.15 on,
 * and is faster; but what it gives ends without an error where the file is cut off, and behind the first of several
 * frames, so that nobody would notice that something is missing (seen with 22.23 and 24.9).
 */
import { pipeline, Readable } from 'node:stream';
import zlib from 'node:zlib';
import { Decompress } from 'fzstd';

const gzipMagic = '1f8b';
const zstdMagic = '28b52ffd';
const magicBytes = 4;
/** A piece of zstd may unpack to a thousand times its size, and more: they are given one by one. */
const pieceBytes = 1024;

type Unpacker = NodeJS.ReadWriteStream & Readable;
type Chunks = AsyncIterable<Buffer>;

/** @param head its first four bytes. */
export function isPacked(head: Buffer): boolean {
  return methodOf(head) !== undefined;
}

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
