/**
 * Two runs of the same job at once would take each other's keys for conflicts, or worse. So a run
 * holds a lock file, beside its journal, that names its process.
 *
 * A run that was killed leaves its lock behind. It counts no more when its process is gone, or when
 * nobody has renewed it for a minute: numbers of processes are given out again after a restart, and
 * those of other machines (a shared folder, another container) can't be looked up.
 */
import { randomUUID } from 'node:crypto';
import { link, open, readFile, rename, stat, unlink, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { PreflightError } from '../errors.js';

const staleAfterMs = 60_000;
const triesToTakeOver = 10;

export interface Lock {
  /** Says that we are still here. @returns false when another run has taken the lock over. */
  renew(): Promise<boolean>;
  release(): Promise<void>;
}

interface Holder {
  readonly id: string;
  readonly pid: number;
  readonly host: string;
}

/** Locks of this very process, whose number is no sign that somebody else lives. */
const heldHere = new Set<string>();

/** @throws PreflightError when another run holds it. */
export async function takeLock(path: string): Promise<Lock> {
  const us: Holder = { id: randomUUID(), pid: process.pid, host: hostname() };
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
    const holder = await readHolder(path);
    if (holder !== undefined && (tries === triesToTakeOver || (await isAlive(path, holder)))) {
      throw new PreflightError(
        `Another run of this job is under way (process ${String(holder.pid)} on ${holder.host}): wait for its end or stop it; if there is none, delete ${path}.`,
      );
    }
    await putAside(path, holder);
  }
}

/** Made elsewhere and linked, so that nobody ever reads half of it. */
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
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Partial<Holder> | null;
    const { id, pid, host } = value ?? {};
    return id !== undefined && pid !== undefined && host !== undefined
      ? { id, pid, host }
      : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive(path: string, { id, pid, host }: Holder): Promise<boolean> {
  if (heldHere.has(id)) return true;
  const changed = await stat(path).catch(() => undefined);
  if (!changed || Date.now() - changed.mtimeMs > staleAfterMs) return false;
  if (host !== hostname()) return true;
  // In a container, every run may have the same number.
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

/** Of two runs that take a stale lock over, the slower one must not remove the faster one's. */
async function putAside(path: string, seen: Holder | undefined): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
    const taken = await readHolder(aside);
    if (taken !== undefined && taken.id !== seen?.id) await link(aside, path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await unlink(aside).catch(() => undefined);
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
