/**
 * Which keys earlier runs of the job have moved, for the one case in which that must be known.
 *
 * A key that a writer brings back at the source after it was moved must not overwrite the cluster's
 * copy, in a later run neither. Where the cluster started empty, a later run overwrites nothing, so
 * it needs no memory. But where `--replace` was said for a cluster with keys of its own, keys that
 * were moved must be distinguished from those that still have to replace what is there. So keys are on file,
 * on the disk, before the source deletes them. A run that is cut off leaves there just what
 * it has moved, and some whose copies were on their way out: keys that are on file, and differ from
 * the cluster's, are not overwritten.
 *
 * Keys are appended as they are to a log, those that come together in one go. When it gets long, a
 * record of all (engine/seen-keys.ts) replaces it. Two logs take turns, so that one is whole at every moment:
 * log A, then log B is begun, then the record is written, then log A is removed.
 */
import { type FileHandle, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as othersTurn } from 'node:timers/promises';
import { messageOf, SourceError } from '../errors.js';
import { keyStart } from '../redis/frames.js';
import type { Keys } from '../types.js';
import { replaceFile, syncFolder } from './state-folder.js';

/** The engine's record of keys, as far as it is used here. */
interface KeyFilter {
  noted(bytes: Buffer, start: number, end: number): boolean;
  readonly bytes: Uint8Array;
  /** Notes what another one has noted. */
  recall(bytes: Uint8Array): void;
}

export interface MovedKeys {
  /** Notes what earlier runs have moved. @param fresh makes an empty record of the same kind. */
  recall(record: KeyFilter, fresh: () => KeyFilter): Promise<void>;
  /**
   * To be awaited before the source deletes these keys.
   * @throws SourceError when they can't be put on file.
   */
  readonly note: (keys: Keys) => Promise<void>;
  close(): Promise<void>;
}

const defaultLimitBytes = 64 * 1024 * 1024;
/** How many keys are noted before others get their turn. */
const keysPerTurn = 16_384;

/** The files that belong to a journal; to be removed with it. */
export function movedFiles(path: string): readonly [record: string, ...logs: [string, string]] {
  return [`${path}.record`, `${path}.keys-a`, `${path}.keys-b`];
}

/**
 * @param onTrouble is called when keys can't be put on file: nothing can be moved any more.
 * @param limitBytes how long a log gets before the record replaces it.
 */
export function movedKeys(
  path: string,
  onTrouble: (error: SourceError) => void,
  limitBytes = defaultLimitBytes,
): MovedKeys {
  const [recordFile, ...logs] = movedFiles(path);
  let log: FileHandle | undefined;
  let turn = 0;
  let writtenBytes = 0;
  /** What goes to the file together, as soon as what is being written is on the disk. */
  let next: { readonly frames: Buffer[]; readonly onFile: Promise<void> } | undefined;
  let order: Promise<void> = Promise.resolve();
  let compacting: Promise<void> | undefined;
  let freshRecord: (() => KeyFilter) | undefined;
  /** All that was in logs that are no more; made when the first of them is to go. */
  let replacement: KeyFilter | undefined;

  /** One at a time, for all sources. */
  function inOrder(work: () => Promise<void>): Promise<void> {
    const done = order.then(work);
    order = done.catch(() => undefined);
    return done;
  }

  async function write(frames: readonly Buffer[]): Promise<void> {
    if (!log) {
      log = await open(logs[turn] as string, 'a', 0o600);
      await syncFolder(dirname(path));
    }
    const bytes = Buffer.concat(frames);
    await log.appendFile(bytes);
    await log.datasync();
    writtenBytes += bytes.length;
    if (writtenBytes > limitBytes && !compacting && freshRecord) await takeTurns(freshRecord);
  }

  async function takeTurns(fresh: () => KeyFilter): Promise<void> {
    const full = logs[turn] as string;
    await log?.close();
    log = undefined;
    turn = 1 - turn;
    writtenBytes = 0;
    // Where that fails the log stays, and is read the next time.
    const compacted = compact(full, fresh).catch(() => undefined);
    compacting = compacted.finally(() => (compacting = undefined));
  }

  async function compact(full: string, fresh: () => KeyFilter): Promise<void> {
    if (!replacement) {
      const started = fresh();
      await recallRecord(started);
      replacement = started;
    }
    const bytes = await readOrNothing(full);
    if (bytes) await noteAll(bytes, replacement);
    await replaceFile(recordFile, replacement.bytes);
    await rm(full, { force: true });
  }

  async function recallRecord(record: KeyFilter): Promise<void> {
    const known = await readOrNothing(recordFile);
    if (known && known.length > 0) record.recall(known);
  }

  function complain(error: unknown): never {
    const words = messageOf(error);
    const told = new SourceError(
      `The journal can't be written (${words}), and without it keys that come back could not be told from new ones: make room, then run the same command again.`,
      { cause: error },
    );
    onTrouble(told);
    throw told;
  }

  return {
    async recall(record, fresh) {
      freshRecord = fresh;
      for (const file of logs) {
        const bytes = await readOrNothing(file);
        if (bytes) await cutAt(file, await noteAll(bytes, record), bytes.length);
      }
      await recallRecord(record);
    },
    note(keys) {
      const names = keys.names ?? keys;
      if (names.count === 0) return Promise.resolve();
      if (!next) {
        const frames: Buffer[] = [];
        const onFile = inOrder(() => {
          next = undefined;
          return write(frames);
        }).catch(complain);
        next = { frames, onFile };
      }
      next.frames.push(names.bytes.subarray(0, names.starts[names.count]));
      return next.onFile;
    },
    async close() {
      await inOrder(async () => {
        await log?.close();
        log = undefined;
      });
      await compacting;
    },
  };
}

/** @returns where the last whole frame ends: a killed run may leave a part of one. */
async function noteAll(bytes: Buffer, record: KeyFilter): Promise<number> {
  let at = 0;
  for (let count = 1; at < bytes.length; count++) {
    const length = /^\$(\d{1,9})\r\n/.exec(bytes.toString('latin1', at, at + 13))?.[1];
    if (length === undefined) break;
    const from = keyStart(bytes, at);
    const end = from + Number(length);
    if (end + 2 > bytes.length) break;
    record.noted(bytes, from, end);
    at = end + 2;
    if (count % keysPerTurn === 0) await othersTurn();
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
