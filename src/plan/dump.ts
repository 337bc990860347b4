/** A dump as a source of a run: what is found out about it before the start. */
import { type FileHandle, stat } from 'node:fs/promises';
import { PreflightError, SourceError, StoppedError, UsageError } from '../errors.js';
import type { EndpointOptions, ImportOptions } from '../options/options.js';
import { type DumpInput, headOfDump, openInput } from '../sources/dump/input.js';
import { type FoundWrong, RdbError } from '../sources/rdb/rdb-errors.js';
import {
  fileVersionOf,
  headBytes,
  headerBytes,
  versionIn,
  writtenBy,
} from '../sources/rdb/file-version.js';
import { readDatabases } from './origins.js';
import { jobOfFile } from './endpoints.js';
import type { Loading } from './files.js';
import type { DumpFacts } from './source-facts.js';
import type { Entry, ValueType } from '../sources/rdb/value-types.js';
import { RdbReader } from '../sources/rdb/rdb-reader.js';
import type { MasterFacts } from './master-facts.js';
import { readsFile } from './payloads.js';
import { Crc64 } from '../redis/crc64.js';

/**
 * @param path as it was given. @param file what is read.
 * @throws UsageError when it can't be opened, or the flags don't fit a file.
 */
export async function openDump(
  { path, file }: { readonly path: string; readonly file: string },
  options: Pick<ImportOptions, 'db' | 'damaged' | 'onlyKeys'>,
  { warn, signal }: Pick<Loading, 'warn' | 'signal'>,
): Promise<DumpFacts> {
  if (options.onlyKeys !== undefined) {
    throw new UsageError(
      `--only-keys needs a server, and --from ${path} is a file: leave it out, and pass --match for some of the keys.`,
    );
  }
  if (file !== '-') await checkHead(file, path);
  const input = await openInput(file);
  const databases = readDatabases(options.db) ?? [0];
  let isEmpty = false;
  try {
    await checkSoundness(input, path, options, { warn, signal });
    isEmpty = input.identity !== undefined && !(await holdsKeys(file, databases, signal));
    if (signal.aborted) throw new StoppedError(`Stopped while ${path} was checked.`);
  } catch (error) {
    await input.close();
    throw error;
  }
  const { identity, bytes } = input;
  return {
    name: path,
    job: identity === undefined ? undefined : jobOfFile(path, identity, String(databases)),
    kind: 'dump',
    db: 0,
    keys: 0,
    isFile: true,
    isEmpty,
    bytes,
    input,
    file,
    databases,
    warn,
  };
}

/**
 * That it is a dump, of a version that is known. A pipe can be read only once: there the run finds out.
 * @throws PreflightError
 */
async function checkHead(file: string, path: string): Promise<void> {
  if (!(await stat(file)).isFile()) return;
  try {
    versionIn(await headOfDump(file, headBytes), path);
  } catch (error) {
    if (!(error instanceof RdbError)) throw error;
    throw new PreflightError(`--from ${error.message}`, { cause: error });
  }
}

/** Whether a dump has any key in these databases. What can't be read does not count as empty. */
async function holdsKeys(
  file: string,
  databases: readonly number[] | 'all',
  signal: AbortSignal,
): Promise<boolean> {
  const found = await lookThrough(
    file,
    {
      entry: ({ db }) => databases === 'all' || databases.includes(db),
      other: () => true,
    },
    signal,
  );
  return found !== 'to the end';
}

/** @throws PreflightError when it is damaged, and nobody has said that it is to be imported all the same. */
async function checkSoundness(
  { file }: DumpInput,
  path: string,
  { damaged }: Pick<EndpointOptions, 'damaged'>,
  { warn, signal }: Pick<Loading, 'warn' | 'signal'>,
): Promise<void> {
  if (!file) return;
  const found = await soundnessOf(file, path, signal);
  if (signal.aborted) throw new StoppedError(`Stopped while ${path} was checked.`);
  if (found.kind === 'unsummed') {
    warn(`${path} has no checksum (rdbchecksum no): damage in it would not be noticed.`);
  }
  if (found.kind === 'cut off') {
    warn(
      `${path} is cut off: what is there is imported, though its checksum, which stood at the end, can't be compared.`,
    );
  }
  if (found.kind === 'unknown') throw new PreflightError(`--from ${found.finding}.`);
  if (found.kind !== 'damaged' && found.kind !== 'goes on') return;
  if (damaged) {
    warn(`${found.finding}. What stands before that is imported (--damaged), and may be wrong.`);
    return;
  }
  throw new PreflightError(
    `${found.finding}. Nothing was imported: take another copy of the file, or pass --damaged to import what stands before the damage, wrong values among it perhaps, which can even crash a node.`,
  );
}

/* Goes through the records of a dump before it is imported, and keeps none of them. */

/** Each says of what it is given whether that is enough: then nothing more is read. */
interface Looker {
  entry(entry: Pick<Entry, 'db' | 'valueType'>): boolean;
  /** A function library, or what is skipped. */
  other(): boolean;
}

/**
 * @param signal ends it.
 * @returns how far it came. What is wrong with a file is told by those who import it.
 */
async function lookThrough(
  file: string,
  looker: Looker,
  signal: AbortSignal,
): Promise<'to the end' | 'far enough' | 'as far as it can be read'> {
  const input = await openInput(file);
  let isEnough = false;
  const other = (): void => {
    isEnough ||= looker.other();
  };
  const isFull = (): boolean => isEnough || signal.aborted;
  try {
    const reader = new RdbReader(input, file);
    await reader.begin();
    await reader.read({
      get isFull() {
        return isFull();
      },
      entry(entry) {
        isEnough ||= looker.entry(entry);
      },
      large(entry) {
        isEnough ||= looker.entry(entry);
        return Promise.resolve();
      },
      announced: () => undefined,
      library: other,
      skipped: other,
    });
    return isFull() ? 'far enough' : 'to the end';
  } catch (error) {
    if (error instanceof RdbError || error instanceof SourceError)
      return 'as far as it can be read';
    throw error;
  } finally {
    await input.close();
  }
}

/*
 * What of a dump the nodes will not take, counted before the start: values of types that came with a later RDB
 * version than they read, or that only the other product has. Only dumps of such a version are read for it.
 */

type Readers = readonly Pick<MasterFacts, 'product' | 'rdbVersion'>[];

/**
 * Of a pipe nothing can be said.
 * @returns one sentence; undefined: there is nothing to say.
 */
export async function foreignValues(
  { name, file, databases }: Pick<DumpFacts, 'name' | 'file' | 'databases'>,
  masters: Readers,
  signal: AbortSignal,
): Promise<string | undefined> {
  const head = file === '-' ? '' : await headOfDump(file, headBytes);
  const version = fileVersionOf(head);
  if (!version || masters.every((master) => readsFile(master, version))) return undefined;
  const { product } = version;
  const all = new Map<ValueType, number>();
  await lookThrough(
    file,
    {
      entry({ db, valueType }) {
        if (databases === 'all' || databases.includes(db)) {
          all.set(valueType, (all.get(valueType) ?? 0) + 1);
        }
        return false;
      },
      other: () => false,
    },
    signal,
  );
  const isRead = ({ since: number }: ValueType): boolean =>
    masters.every((master) => readsFile(master, { number, product, isNewer: false }));
  const counts = new Map<string, number>();
  for (const [type, count] of all) {
    if (!isRead(type)) counts.set(type.name, (counts.get(type.name) ?? 0) + count);
  }
  if (counts.size === 0) return undefined;
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...counts].map(([type, count]) => `${count.toLocaleString('en')} of type ${type}`);
  const values = total === 1 ? 'a value' : `${total.toLocaleString('en')} values`;
  return `${name}${writtenBy(head)} has ${values} in a form that not all nodes know (${kinds.join(', ')}), which will be reported as failed: a server as new as the file, named in --redis-server, gets across what the nodes can hold.`;
}

/*
 * Whether a dump is as it was written, found out before anything of it is imported: its checksum
 * stands at its end, and a value that was damaged would go to a node under a fresh checksum of its
 * own, by which the node takes it for sound. What comes as a stream can't be looked at twice.
 */

const pieceBytes = 4 * 1024 * 1024;
const sumBytes = 8;
const endOpcode = 255;
/** From this version on files have a checksum. */
const firstSummed = 5;

type Soundness =
  | { readonly kind: 'sound' }
  /** It has no checksum: that is not known. */
  | { readonly kind: 'unsummed' }
  | { readonly kind: FoundWrong; readonly finding: string };

/** @param signal ends it, with a finding that means nothing. */
async function soundnessOf(
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
