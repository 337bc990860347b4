/**
 * A redis-server for the time of a run, which loads an append-only file: what its commands did (they
 * may be transactions, or span slots) only a server can say. It listens on a socket in a temporary
 * folder and nowhere else, and works on a copy, so that the file stays as it is.
 *
 * It must not outlive the run, even if that is killed: a shell stands over it, whose standard input
 * is a pipe from here. When that ends, for whatever reason, the shell kills the server and removes
 * the folder.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PreflightError, UsageError } from '../errors.js';
import { openControl } from '../redis/control.js';
import type { Endpoint } from '../redis/endpoint.js';
import { type AppendOnly, copyInto } from './append-only.js';

/** What loading takes in memory, for each byte of the file; a guess that is rather high. */
const memoryPerByte = 2;
const lookEveryMs = 50;
const serverNames = ['redis-server', 'valkey-server'];

const guardian = `"$1" "$2/redis.conf" >/dev/null 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -9 $server 2>/dev/null
wait $server 2>/dev/null
rm -rf "$2"`;

export interface Scratch {
  readonly endpoint: Endpoint;
  /** What it said of the file's end; undefined: nothing. */
  readonly warning: string | undefined;
  stop(): Promise<void>;
}

/**
 * Starts it, and waits until it has loaded the file.
 * @param program the redis-server; undefined: the one on PATH.
 * @throws UsageError or PreflightError when that can't be done.
 */
export async function startScratch(
  file: AppendOnly,
  program: string | undefined,
  timeoutMs: number,
): Promise<Scratch> {
  const binary = program ?? findServer();
  if (binary === undefined) {
    throw new UsageError(
      `--from ${file.path} is an append-only file, which a redis-server has to load, and there is none on PATH: name one in --redis-server, at least as new as the one that wrote the file.`,
    );
  }
  await checkRoom(file);
  const folder = await mkdtemp(join(tmpdir(), 'cluster-import-'));
  let child: ChildProcess | undefined;
  let ended: Promise<void> = Promise.resolve();
  const stop = async (): Promise<void> => {
    child?.stdin?.end();
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const lines = await copyInto(folder, file);
    const socket = join(folder, 'redis.sock');
    const log = join(folder, 'redis.log');
    await writeFile(
      join(folder, 'redis.conf'),
      [
        ...['port 0', `unixsocket ${socket}`, 'unixsocketperm 700', `dir ${folder}`, 'save ""'],
        ...[`logfile ${log}`, 'appendonly yes', 'appendfsync no', 'aof-load-truncated yes'],
        ...['auto-aof-rewrite-percentage 0', 'databases 16384', ...lines],
      ].join('\n'),
    );
    const started = spawn('/bin/sh', ['-c', guardian, 'sh', binary, folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      // Ctrl-C is for us: it is still needed then.
      detached: true,
    });
    child = started;
    ended = new Promise((resolve) => {
      started.once('close', () => {
        resolve();
      });
      started.once('error', () => {
        resolve();
      });
    });
    const endpoint: Endpoint = { host: socket, port: 0, socket, tls: false, db: 0 };
    await loaded(endpoint, log, file.path, timeoutMs);
    return { endpoint, warning: truncation(await readFile(log, 'utf8'), file.path), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Waits as long as it takes; one that has ended has said why. */
async function loaded(
  endpoint: Endpoint,
  log: string,
  path: string,
  timeoutMs: number,
): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += lookEveryMs) {
    const text = await readFile(log, 'utf8').catch(() => '');
    const fatal =
      /^.*(?:# (?:Bad file format|Fatal|FATAL|Unexpected end|Wrong signature|Unrecoverable|The AOF|Can't|Short read|Internal error)|\*\*\* FATAL).*$/m.exec(
        text,
      )?.[0];
    const isTruncated = fatal?.includes('Unexpected end of file') ?? false;
    if (fatal !== undefined && !isTruncated) {
      throw new PreflightError(
        `A redis-server could not load ${path}: ${fatal.replace(/^.*# /, '')} (was it written by a newer version? --redis-server names another one).`,
      );
    }
    const control = await openControl(endpoint, { side: 'from', timeoutMs }).catch(() => undefined);
    if (control) {
      try {
        const info = await control.info('persistence');
        if (info.get('loading') !== '1') return;
      } finally {
        control.close();
      }
    } else if (text === '' && waitedMs > timeoutMs) {
      throw new PreflightError(
        `The redis-server for ${path} did not start: is --redis-server one?`,
      );
    }
    await delay(lookEveryMs);
  }
}

/** As servers put it where aof-load-truncated lets them go on. */
function truncation(log: string, path: string): string | undefined {
  if (!/AOF loaded anyway because aof-load-truncated|Truncating the AOF/.test(log))
    return undefined;
  const offset = /Truncating the AOF .*?(?:at offset|to) (\d+)/.exec(log)?.[1];
  return `${path} is cut off${offset === undefined ? '' : ` after byte ${offset}`}: the command that stood at its end was not whole, and was left out.`;
}

async function checkRoom({ path, bytes }: AppendOnly): Promise<void> {
  const { bavail, bsize } = await statfs(tmpdir());
  const mb = (size: number): string => `${Math.ceil(size / 1024 ** 2).toLocaleString('en')} MB`;
  if (bavail * bsize < bytes * 1.1) {
    throw new PreflightError(
      `${path} has to be copied to ${tmpdir()}, where ${mb(bavail * bsize)} of ${mb(bytes * 1.1)} are free: set TMPDIR to a folder with room.`,
    );
  }
  const memory = await freeMemory();
  if (memory < bytes * memoryPerByte) {
    throw new PreflightError(
      `Loading ${path} may take ${mb(bytes * memoryPerByte)} of memory, and ${mb(memory)} are free: load it into a server elsewhere, and give that in --from.`,
    );
  }
}

/** What can be had without swapping: more than what is unused, on Linux. */
async function freeMemory(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  const kilobytes = /^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1];
  return kilobytes === undefined ? freemem() : Number(kilobytes) * 1024;
}

function findServer(): string | undefined {
  const places = (process.env['PATH'] ?? '').split(delimiter).filter((place) => place !== '');
  return serverNames.flatMap((name) => places.map((place) => join(place, name))).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
