/**
 * Append-only files: which files one consists of, and whether a server is needed to read it.
 *
 * Up to Redis 6.2 it is one file, which may begin with a dump. From 7.0 on it is a folder with a
 * manifest that names a base (mostly a dump) and increments.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { cp, open, readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { messageOf, UsageError } from '../errors.js';
import { headOfDump, identityOf, unpacked } from '../sources/dump/input.js';
import { RdbReader } from '../sources/rdb/rdb-reader.js';

export interface AppendOnly {
  readonly path: string;
  readonly isFolder: boolean;
  readonly bytes: number;
  /** By which it is known again, and known to be as it was. */
  readonly identity: string;
  /** What loading it may take in memory: a guess that is rather high. */
  readonly memoryBytes: number;
  /** Set where all of it is a dump: that file. */
  readonly dump: string | undefined;
  /** It is no append-only file, but a dump that a server is to load. */
  readonly isDump?: true;
}

const looked = 1024;
/** What a byte of commands may take in memory, and one of a dump that does not tell. */
const memoryPerByte = 2;
/** What the server that wrote a dump took, against what one that loads it may take. */
const spare = 1.2;
/** What a packed dump may unpack to: a guess. */
const packedRatio = 4;
const manifestEnd = '.manifest';

/** @returns undefined when it is none. */
export async function appendOnlyAt(path: string): Promise<AppendOnly | undefined> {
  const found = await stat(path).catch((error: unknown) => {
    const words = messageOf(error);
    throw new UsageError(`--from ${path} can't be read: ${words}.`, { cause: error });
  });
  if (found.isDirectory()) return folderAt(path);
  // What is no file on disk (a pipe, say) can be read only once, and as a dump.
  if (!found.isFile()) return undefined;
  const head = await headOf(path);
  const common = { path, isFolder: false, bytes: found.size, identity: identityOf(found) };
  const memoryBytes = found.size * memoryPerByte;
  if (/^\*\d+\r\n\$|^#TS:/.test(head)) return { ...common, memoryBytes, dump: undefined };
  // A master that nobody ever wrote to; an empty dump is none.
  if (found.size === 0 && !path.endsWith('.rdb'))
    return { ...common, memoryBytes, dump: undefined };
  // A field of the dump says 1 there; dumps of their own say 0.
  if (!isDumpHead(head) || !/aof-(?:preamble|base)\xc0\x01/.test(head)) return undefined;
  const end = await dumpEnd(path);
  return {
    ...common,
    memoryBytes: memoryOf(head, end) + (found.size - Math.max(0, end)) * memoryPerByte,
    dump: end === found.size ? path : undefined,
  };
}

const isDumpHead = (head: string): boolean => /^(REDIS|VALKEY)\d/.test(head);

/** A dump as what a server loads: for what can't be done while reading it once. */
export async function dumpAt(path: string): Promise<AppendOnly> {
  const found = await stat(path);
  const isPlain = isDumpHead(await headOf(path));
  const size = found.size * (isPlain ? 1 : packedRatio);
  const memoryBytes = memoryOf(await headOfDump(path, looked), size);
  const identity = identityOf(found);
  return { path, isFolder: false, bytes: size, identity, memoryBytes, dump: path, isDump: true };
}

async function folderAt(path: string): Promise<AppendOnly> {
  const names = await readdir(path);
  const manifest = names.find((name) => name.endsWith(manifestEnd));
  if (manifest === undefined) {
    throw new UsageError(
      `--from ${path} is a folder without a manifest (*.manifest): give an appendonlydir, or a file.`,
    );
  }
  // `file <name> seq <number> type <b, i or h>`; history files are of no use any more.
  const rows = (await readFile(join(path, manifest), 'utf8')).split('\n');
  const files = rows.flatMap((row) => {
    const [, name = '', type = ''] = /^file "?(.+?)"? seq \d+ type ([bi])/.exec(row) ?? [];
    return name === '' ? [] : [{ file: join(path, name), type }];
  });
  let bytes = 0;
  let increments = 0;
  const all = createHash('sha1');
  for (const { file, type } of files) {
    const found = await stat(file).catch(() => {
      throw new UsageError(
        `--from ${path}: its manifest names ${basename(file)}, which is not there.`,
      );
    });
    const { size } = found;
    all.update(`${identityOf(found)} `);
    bytes += size;
    if (type === 'i') increments += size;
  }
  const base = files.find(({ type }) => type === 'b')?.file;
  const dump = base?.endsWith('.rdb') === true && increments === 0 ? base : undefined;
  const head = base === undefined ? '' : await headOf(base);
  const memoryBytes = memoryOf(head, bytes - increments) + increments * memoryPerByte;
  const identity = all.digest('hex');
  return { path, isFolder: true, bytes, identity, memoryBytes, dump };
}

async function headOf(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(looked), 0, looked, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** A dump tells in a field how much memory its server took: as a number of 32 bits, or as text. */
function memoryOf(head: string, bytes: number): number {
  const at = head.indexOf('used-mem');
  const [, number, text] = /^used-mem(?:\xc2([^]{4})|[\x01-\x3f](\d+))/.exec(head.slice(at)) ?? [];
  if (at === -1 || (number === undefined && text === undefined)) return bytes * memoryPerByte;
  const told = number === undefined ? Number(text) : Buffer.from(number, 'latin1').readUInt32LE(0);
  return told * spare;
}

/** Where the dump that a file begins with ends; -1: it is damaged, which a server will tell better. */
async function dumpEnd(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    let at = 0;
    const reader = new RdbReader(
      {
        async read(into, place) {
          const { bytesRead } = await file.read(into, place, into.length - place, at);
          at += bytesRead;
          return bytesRead;
        },
      },
      path,
      true,
    );
    const ignore = (): void => undefined;
    await reader.begin();
    await reader.read({
      ...{ isFull: false, entry: ignore, announced: ignore, library: ignore, skipped: ignore },
      large: () => Promise.resolve(),
    });
    return reader.offset;
  } catch {
    return -1;
  } finally {
    await file.close();
  }
}

/** Copies it into a server's folder. @returns lines for that server's redis.conf. */
export async function copyInto(
  folder: string,
  { path, isFolder, isDump }: AppendOnly,
): Promise<string[]> {
  if (isDump) {
    const copy = createWriteStream(join(folder, 'dump.rdb'));
    await pipeline(unpacked(createReadStream(path)), copy);
    return ['appendonly no', 'dbfilename dump.rdb'];
  }
  if (!isFolder) {
    // Servers from 7.0 on take a single file over when there is no folder yet.
    await cp(path, join(folder, 'appendonly.aof'));
    return ['appendfilename appendonly.aof'];
  }
  const name = 'appendonlydir';
  await cp(path, join(folder, name), { recursive: true });
  const manifest = (await readdir(path)).find((file) => file.endsWith(manifestEnd)) ?? '';
  return [`appenddirname ${name}`, `appendfilename "${manifest.slice(0, -manifestEnd.length)}"`];
}
