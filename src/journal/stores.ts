/** Where a journal is kept, and who may write it: a file, or a Redis. */
import { link, open, readFile, rename, rm, stat, unlink, utimes } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { type ImportError, PreflightError } from '../errors.js';
import { movedFiles, type MovedKeys, movedKeys } from './moved.js';
import { makeFolder, replaceFile } from './state-folder.js';
import { addressOf, type Endpoint } from '../redis/endpoint.js';
import { reopenedControl } from '../redis/control.js';

export interface JournalStore {
  /** As it is named in errors: a path, or a server and a key. */
  readonly name: string;
  /** What to do where it can't be written: one clause. */
  readonly way: string;
  /** @throws PreflightError when another run holds it. */
  lock(): Promise<Lock>;
  /** Undefined: there is none. */
  read(): Promise<string | undefined>;
  /** Puts it in the place of what was there, as a whole. */
  write(text: string): Promise<void>;
  /** Removes it, and all that belongs to it. */
  remove(): Promise<void>;
  /**
   * Where moved keys are kept; undefined: there is no such place.
   * @param onTrouble is called when keys can't be put there: nothing can be moved any more.
   */
  moved(onTrouble: (error: ImportError) => void): MovedKeys | undefined;
  close(): void;
}

export interface Lock {
  /** Says that we are still here. @returns false when another run has taken the lock over. */
  renew(): Promise<boolean>;
  release(): Promise<void>;
}

/* A journal in a file, with its lock and the keys that were moved beside it. */

export function fileStore(path: string): JournalStore {
  return {
    name: path,
    way: 'name a file in --state that can be written',
    async lock() {
      await makeFolder(path);
      return takeLock(`${path}.lock`);
    },
    async read() {
      try {
        return await readFile(path, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    write: (text) => replaceFile(path, text),
    async remove() {
      // The journal first: without it, the others mean nothing.
      for (const one of [path, ...movedFiles(path)]) await rm(one, { force: true });
    },
    moved: (onTrouble) => movedKeys(path, onTrouble),
    close: () => undefined,
  };
}

/*
 * Two runs of the same job at once would take each other's keys for conflicts, or worse. So a run
 * holds a lock file, beside its journal, that names its process.
 *
 * A run that was killed leaves its lock behind. It counts no more when its process is gone. Numbers
 * of processes are given out again, so the lock also says when its process began, where the system
 * tells that. A process that lives counts for as long as it does: it may be stopped (Ctrl-Z), and go
 * on at any moment. Those of other machines (a shared folder, another container) can't be looked up;
 * they count for as long as they renew their lock.
 */

const staleAfterMs = 60_000;
const triesToTakeOver = 200;
const whileTakenOverMs = 10;

interface Holder {
  readonly id: string;
  readonly pid: number;
  readonly host: string;
  /** When the process began, in the system's own words; absent where that is not known. */
  readonly began?: string | undefined;
}

/** Locks of this very process, whose number is no sign that somebody else lives. */
const heldHere = new Set<string>();

/** @throws PreflightError when another run holds it. */
export async function takeLock(path: string): Promise<Lock> {
  const us: Holder = {
    id: randomUUID(),
    pid: process.pid,
    host: hostname(),
    began: beginOf(process.pid),
  };
  heldHere.add(us.id);
  try {
    await take(path, us);
  } catch (error) {
    heldHere.delete(us.id);
    throw error;
  }
  const isOurs = async (): Promise<boolean> => (await readHolder(path))?.id === us.id;
  return {
    async renew() {
      if (!(await isOurs())) return false;
      const now = new Date();
      await utimes(path, now, now);
      return true;
    },
    async release() {
      heldHere.delete(us.id);
      if (await isOurs()) await unlink(path).catch(() => undefined);
    },
  };
}

async function take(path: string, us: Holder): Promise<void> {
  for (let tries = 1; ; tries++) {
    if (await created(path, us)) return;
    const seen = await textAt(path);
    if (seen === undefined) continue;
    const holder = holderIn(seen);
    if (holder !== undefined && (tries === triesToTakeOver || (await isAlive(path, holder)))) {
      throw new PreflightError(
        `Another run of this job is under way (process ${String(holder.pid)} on ${holder.host}): wait for its end or stop it; if there is none, delete ${path}.`,
      );
    }
    if (await takenOver(path, us, seen)) return;
  }
}

/**
 * Puts our lock into the place of one that counts no more. Only who has the file beside it may, so that of many
 * that have seen the same lock none removes the one of who was faster.
 */
async function takenOver(path: string, us: Holder, seen: string): Promise<boolean> {
  const next = `${path}.next`;
  if (!(await created(next, us))) {
    const other = await readHolder(next);
    if (other !== undefined && (await isAlive(next, other))) await delay(whileTakenOverMs);
    // It died in that moment. Whoever removes somebody's here by that is found out below.
    else await unlink(next).catch(() => undefined);
    return false;
  }
  if ((await textAt(path)) === seen) {
    await rename(next, path).catch(() => undefined);
    if ((await readHolder(path))?.id === us.id) return true;
  }
  if ((await readHolder(next))?.id === us.id) await unlink(next).catch(() => undefined);
  return false;
}

/** Made elsewhere and linked, so that no reader ever sees half of it. */
async function created(path: string, us: Holder): Promise<boolean> {
  const draft = `${path}.${us.id}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(JSON.stringify(us));
    await link(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await file.close();
    await unlink(draft).catch(() => undefined);
  }
}

/** Undefined when there is no lock (any more), or none that can be understood. */
async function readHolder(path: string): Promise<Holder | undefined> {
  const text = await textAt(path).catch(() => undefined);
  return text === undefined ? undefined : holderIn(text);
}

/** Undefined where there is no such file. */
async function textAt(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function holderIn(text: string): Holder | undefined {
  try {
    const { id, pid, host, began } = (JSON.parse(text) ?? {}) as Partial<Holder>;
    return id !== undefined && pid !== undefined && host !== undefined
      ? { id, pid, host, began }
      : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive(path: string, { id, pid, host, began }: Holder): Promise<boolean> {
  if (heldHere.has(id)) return true;
  if (host !== hostname()) {
    const changed = await stat(path).catch(() => undefined);
    return changed !== undefined && Date.now() - changed.mtimeMs <= staleAfterMs;
  }
  // In a container, every run may have the same number.
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return false;
  }
  return began === undefined || began === (beginOf(pid) ?? began);
}

/** Linux: in ticks since the machine was started, the 22nd field of /proc/<pid>/stat (proc(5)). */
function beginOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${String(pid)}/stat`, 'latin1');
    // The name of the program may hold anything, and ends with the last parenthesis.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/*
 * A journal in a Redis, for runs whose coordinator may be started again on another machine.
 *
 * Its lock is a lease: a key with a token and an expiry, which whoever holds it renews. A start that finds
 * it held waits for it to expire, because the run before may just have been killed.
 */

/** Several times what passes between two renewals. */
const leaseMs = 15_000;
const lookEveryMs = 500;

/** Only whoever holds it may renew or release it. */
const renewScript =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";
const releaseScript =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/**
 * @param key the journal's; the lock's is made from it.
 * @param tell is called when it waits for another run's lease.
 */
export function redisStore(
  endpoint: Endpoint,
  key: string,
  timeoutMs: number,
  tell: (sentence: string) => void,
): JournalStore {
  const token = randomUUID();
  const lockKey = `${key}:lock`;
  const control = reopenedControl(endpoint, { side: 'queue', timeoutMs });

  async function takeLease(): Promise<void> {
    const deadline = performance.now() + leaseMs + 2 * lookEveryMs;
    for (let isTold = false; ; isTold = true) {
      if ((await control.call('SET', lockKey, token, 'NX', 'PX', leaseMs)) === 'OK') return;
      if (performance.now() > deadline) {
        throw new PreflightError(
          `Another run of this job is under way (it holds ${lockKey} at ${addressOf(endpoint)}): wait for its end or stop it.`,
        );
      }
      if (!isTold)
        tell('Another run of this job was just at work: waiting until it is certainly gone.');
      await delay(lookEveryMs);
    }
  }

  return {
    name: `${key} at ${addressOf(endpoint)}`,
    way: "see to the queue's Redis",
    async lock(): Promise<Lock> {
      await takeLease();
      return {
        async renew() {
          if ((await control.call('EVAL', renewScript, 1, lockKey, token, leaseMs)) === 1)
            return true;
          // It is nobody's where the server lost it in a restart.
          return (await control.call('SET', lockKey, token, 'NX', 'PX', leaseMs)) === 'OK';
        },
        async release() {
          await control.call('EVAL', releaseScript, 1, lockKey, token);
        },
      };
    },
    async read() {
      const text = await control.call('GET', key);
      return typeof text === 'string' ? text : undefined;
    },
    async write(text) {
      await control.call('SET', key, text);
    },
    async remove() {
      await control.call('DEL', key);
    },
    moved: () => undefined,
    close() {
      control.close();
    },
  };
}
