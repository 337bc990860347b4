/**
 * Which keys earlier runs of the job have listed, for the one case in which that must be known.
 *
 * A key that a writer brings back at the source after it was moved must not overwrite the cluster's
 * copy, in a later run neither. Where the cluster started empty, a later run overwrites nothing, so
 * it needs no memory. But where `--replace` was said for a cluster with keys of its own, keys that
 * were moved must be told from those that still have to replace what is there. So each page of
 * keys is on file before any of it is moved. That is a superset of what was moved: a key that is in
 * it and in the cluster is compared, not overwritten.
 *
 * Pages are appended as they are to a log; when that gets long, the run's own record (record.ts, in
 * which everything handed on is noted) replaces it. Two logs take turns, so that one is whole at
 * every moment: log A, then log B is begun, then the record is written, then log A is removed.
 */
import { type FileHandle, open, readFile, rm } from 'node:fs/promises';
import { SourceError } from '../errors.js';
import { keyStart } from '../redis/keys.js';
import type { Keys, Source } from '../types.js';
import { replaceFile } from './files.js';

/** The engine's record of listed keys, as far as it is used here. */
export interface Record {
  noted(bytes: Buffer, start: number, end: number): boolean;
  /** All of it; bits are only ever set, so it may be written while it is used. */
  readonly bytes: Uint8Array;
  /** Notes what another one has noted. */
  recall(bytes: Uint8Array): void;
}

export interface ListedKeys {
  /** Notes what earlier runs have listed. */
  recall(record: Record): Promise<void>;
  /** The source, each of its pages on file before it is handed on. */
  watch(source: Source, record: Record): Source;
  /** Makes sure that what is on file outlives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

const defaultLimitBytes = 64 * 1024 * 1024;

/** The files that belong to a journal; to be removed with it. */
export function listedFiles(path: string): readonly [record: string, ...logs: [string, string]] {
  return [`${path}.record`, `${path}.keys-a`, `${path}.keys-b`];
}

/** @param limitBytes how long a log gets before the record replaces it. */
export function listedKeys(path: string, limitBytes = defaultLimitBytes): ListedKeys {
  const [recordFile, ...logs] = listedFiles(path);
  let log: FileHandle | undefined;
  let turn = 0;
  let writtenBytes = 0;
  /** Pages that were handed on, and may not have been noted yet. */
  const handedOn = new Set<Keys>();
  let order: Promise<void> = Promise.resolve();

  /** One at a time, for all sources that are watched. */
  function inOrder(work: () => Promise<void>): Promise<void> {
    const done = order.then(work);
    order = done.catch(() => undefined);
    return done;
  }

  async function append(page: Keys): Promise<void> {
    const names = page.names ?? page;
    const bytes = names.bytes.subarray(0, names.starts[names.count]);
    if (bytes.length === 0) return;
    log ??= await open(logs[turn] as string, 'a', 0o600);
    await log.appendFile(bytes);
    writtenBytes += bytes.length;
  }

  async function compact(record: Record): Promise<void> {
    if (writtenBytes <= limitBytes) return;
    const full = logs[turn] as string;
    await log?.close();
    turn = 1 - turn;
    log = await open(logs[turn] as string, 'a', 0o600);
    writtenBytes = 0;
    for (const page of handedOn) await append(page);
    await replaceFile(recordFile, record.bytes);
    await rm(full, { force: true });
  }

  async function* pages(source: Source, record: Record): AsyncIterable<Keys> {
    for await (const page of source.pages()) {
      handedOn.add(page);
      await inOrder(() => append(page)).catch(complain);
      yield page;
      handedOn.delete(page);
      if (writtenBytes > limitBytes) await inOrder(() => compact(record)).catch(complain);
    }
  }

  return {
    async recall(record) {
      const known = await readOrNothing(recordFile);
      if (known && known.length > 0) record.recall(known);
      for (const file of logs) {
        const bytes = await readOrNothing(file);
        if (bytes) await cutAt(file, noteAll(bytes, record), bytes.length);
      }
    },
    watch: (source, record) => ({
      name: source.name,
      estimatedKeys: source.estimatedKeys,
      get expectedKeys() {
        return source.expectedKeys;
      },
      pages: () => pages(source, record),
      get progress() {
        return source.progress;
      },
      get earlierShare() {
        return source.earlierShare;
      },
    }),
    sync: () => inOrder(async () => log?.datasync()),
    close: () =>
      inOrder(async () => {
        await log?.close();
        log = undefined;
      }),
  };
}

function complain(error: unknown): never {
  const words = error instanceof Error ? error.message : String(error);
  throw new SourceError(
    `The journal can't be written (${words}), and without it keys that come back could not be told from new ones: make room, then run the same command again.`,
    { cause: error },
  );
}

/** @returns where the last whole frame ends: a killed run may leave a part of one. */
function noteAll(bytes: Buffer, record: Record): number {
  let at = 0;
  while (at < bytes.length) {
    const length = /^\$(\d{1,9})\r\n/.exec(bytes.toString('latin1', at, at + 13))?.[1];
    if (length === undefined) break;
    const from = keyStart(bytes, at);
    const end = from + Number(length);
    if (end + 2 > bytes.length) break;
    record.noted(bytes, from, end);
    at = end + 2;
  }
  return at;
}

async function cutAt(file: string, end: number, length: number): Promise<void> {
  if (end === length) return;
  const handle = await open(file, 'r+');
  await handle.truncate(end).finally(() => handle.close());
}

async function readOrNothing(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
