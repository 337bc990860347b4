/**
 * The files among the sources: dumps are read as they are where they can be, append-only files by a redis-server for the time of
 * the run. What their commands did (they may be transactions, or span slots) only a server can say. It listens on a
 * socket in a temporary folder and nowhere else, and works on a copy, so that the file stays as it is.
 * It is gone when the run is, however that comes.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { isDoneWithin } from '../async.js';
import { ImportError, PreflightError, StoppedError, UsageError } from '../errors.js';
import type { EndpointOptions } from '../options/options.js';
import { openControl } from '../redis/control.js';
import type { Endpoint } from '../redis/endpoint.js';
import { type AppendOnly, appendOnlyAt, copyInto, dumpAt } from './append-only.js';
import { dumpsIn, jobOfFile } from './endpoints.js';
import { type NamedServer, readDatabases } from './origins.js';

const lookEveryMs = 50;
const tellEveryMs = 5000;
const serverNames = ['redis-server', 'valkey-server'];

interface Scratch {
  readonly endpoint: Endpoint;
  /** What it said of the file's end; undefined: nothing. */
  readonly warning: string | undefined;
  /** If the server is gone, waits until that has been told. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/** What those who wait for it have to do with each other. */
export interface Loading {
  readonly timeoutMs: number;
  /** Once aborted, nothing is waited for any more. */
  readonly signal: AbortSignal;
  /** Tells how far it is. */
  readonly tell: (sentence: string) => void;
  readonly warn: (sentence: string) => void;
}

/**
 * Starts a server for a file, and waits until it has loaded it.
 * @param program the redis-server; undefined: the one on PATH.
 * @throws UsageError or PreflightError when that can't be done.
 */
async function startScratch(
  file: AppendOnly,
  program: string | undefined,
  loading: Loading,
): Promise<Scratch> {
  const binary = program ?? findServer();
  if (binary === undefined) {
    throw new UsageError(
      `--from ${file.path} is ${file.isDump ? 'a dump' : 'an append-only file'}, which a redis-server has to load, and there is none on PATH: name one in --redis-server, at least as new as the one that wrote the file.`,
    );
  }
  await checkRoom(file);
  const folder = await mkdtemp(join(tmpdir(), 'cluster-import-'));
  const log = join(folder, 'redis.log');
  const guardian = standGuard(binary, folder, log);
  const stop = async (): Promise<void> => {
    await guardian.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const lines = await copyInto(folder, file);
    const socket = join(folder, 'redis.sock');
    await writeFile(
      join(folder, 'redis.conf'),
      [
        ...['port 0', `unixsocket ${socket}`, 'unixsocketperm 700', `dir ${folder}`, 'save ""'],
        ...[`logfile ${log}`, 'appendonly yes', 'appendfsync no', 'aof-load-truncated yes'],
        ...['auto-aof-rewrite-percentage 0', 'databases 16384', ...lines],
      ].join('\n'),
    );
    guardian.start();
    // It goes by the file's name, which is what people know.
    const endpoint: Endpoint = { host: file.path, port: 0, socket, tls: false, db: 0 };
    await loaded(endpoint, guardian, loading);
    const told = new Promise<void>((resolve) => {
      guardian.onEnd(() => {
        void guardian.lastWords().then((words) => {
          loading.warn(`The redis-server that has loaded ${file.path} has ended: ${said(words)}`);
          resolve();
        });
      });
    });
    const settled = async (): Promise<void> => {
      const { timeoutMs } = loading;
      const control = await openControl(endpoint, { side: 'from', timeoutMs }).catch(
        () => undefined,
      );
      control?.close();
      // A server that takes no connections may be there all the same.
      if (!control) await isDoneWithin(timeoutMs, told);
    };
    const warning = truncation(await readFile(log, 'utf8'), file.path);
    return { endpoint, warning, settled, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const said = (words: string): string => (words === '' ? 'it said nothing.' : words);

/** Waits as long as it takes; one that has ended has said why. */
async function loaded(endpoint: Endpoint, guardian: Guardian, loading: Loading): Promise<void> {
  const { host: path } = endpoint;
  const { timeoutMs, signal, tell } = loading;
  let answered = false;
  let tellAtMs = tellEveryMs;
  for (let waitedMs = 0; ; waitedMs += lookEveryMs) {
    if (signal.aborted) throw new StoppedError(`Stopped while ${path} was loaded.`);
    if (guardian.hasEnded) {
      throw new PreflightError(
        `The redis-server for ${path} ended before it had loaded it: ${said(await guardian.lastWords())} (Was the file written by a newer version? --redis-server names another one.)`,
      );
    }
    const control = await openControl(endpoint, { side: 'from', timeoutMs }).catch(() => undefined);
    if (control) {
      answered = true;
      try {
        const info = await control.info('persistence');
        if (info.get('loading') !== '1') return;
        if (waitedMs >= tellAtMs) {
          tellAtMs = waitedMs + tellEveryMs;
          tell(`Loading ${path}: ${info.get('loading_loaded_perc') ?? '?'} %`);
        }
      } catch (error) {
        // It may just be ending.
        if (!(error instanceof ImportError)) throw error;
      } finally {
        control.close();
      }
    } else if (!answered && waitedMs > timeoutMs && (await guardian.lastWords()) === '') {
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

async function checkRoom({ path, bytes, memoryBytes }: AppendOnly): Promise<void> {
  const { bavail, bsize } = await statfs(tmpdir());
  const mb = (size: number): string => `${Math.ceil(size / 1024 ** 2).toLocaleString('en')} MB`;
  if (bavail * bsize < bytes * 1.1) {
    throw new PreflightError(
      `${path} has to be copied to ${tmpdir()}, where ${mb(bavail * bsize)} of ${mb(bytes * 1.1)} are free: set TMPDIR to a folder with room.`,
    );
  }
  const memory = await freeMemory();
  if (memory < memoryBytes) {
    throw new PreflightError(
      `Loading ${path} may take ${mb(memoryBytes)} of memory, and ${mb(memory)} are free: load it into a server elsewhere, and give that in --from.`,
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

/*
 * Stands over a server that must not outlive the run, even if that is killed: a shell whose standard
 * input is a pipe from here. When that ends, for whatever reason, the shell kills the server and
 * removes its folder. It is there before anything is written into the folder.
 *
 * Another pipe, which only the server holds, tells when the server has ended by itself.
 */

const script = `read -r go || { rm -rf "$2"; exit; }
"$1" "$2/redis.conf" >"$2/output" 2>&1 </dev/null &
server=$!
exec 3>&-
cat >/dev/null
kill -9 $server 2>/dev/null
wait $server 2>/dev/null
rm -rf "$2"`;

/** How many of its last words are worth telling. */
const toldLines = 3;

interface Guardian {
  /** Starts the server; its redis.conf must be in the folder by then. */
  start(): void;
  /** The server has ended, or could not be started. */
  readonly hasEnded: boolean;
  onEnd(listener: () => void): void;
  /** What the server said last, in its log or, without one, on its output. */
  lastWords(): Promise<string>;
  stop(): Promise<void>;
}

/** @param log the file that the server is told to log to. */
function standGuard(binary: string, folder: string, log: string): Guardian {
  const shell = spawn('/bin/sh', ['-c', script, 'sh', binary, folder], {
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
    // Ctrl-C is for us: the server is still needed then.
    detached: true,
  });
  // A shell that is gone already needs no orders.
  shell.stdin?.on('error', () => undefined);
  let hasEnded = false;
  const listeners: (() => void)[] = [];
  const gone = new Promise<void>((resolve) => {
    shell.once('close', resolve);
    shell.once('error', resolve);
  });
  const held = shell.stdio[3] as Readable;
  held.resume().once('close', () => {
    hasEnded = true;
    for (const listener of listeners) listener();
  });

  return {
    start: () => void shell.stdin?.write('go\n'),
    get hasEnded() {
      return hasEnded;
    },
    onEnd: (listener) => void listeners.push(listener),
    async lastWords() {
      const said = worthTelling(await textOf(log));
      const words = said.length > 0 ? said : linesOf(await textOf(join(folder, 'output')));
      return words.slice(-toldLines).join(' ');
    },
    async stop() {
      listeners.length = 0;
      shell.stdin?.end();
      await gone;
    },
  };
}

/** The lines of a log that are marked as warnings (`#`), without process and time. */
function worthTelling(log: string): string[] {
  return linesOf(log).flatMap((line) => {
    const words = /^\d+:\w .*?[\d:.]+ # (.*)/.exec(line)?.[1] ?? '';
    return words === '' || /^WARNING|is starting$|^Redis version/i.test(words) ? [] : [words];
  });
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}

function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

export interface OpenedFiles {
  /** What is read as it is: as it was given, and the file to read. */
  readonly read: readonly { readonly path: string; readonly file: string }[];
  readonly servers: readonly NamedServer[];
  /** Waits until it has been told which of the servers are gone, if any are. */
  settled(): Promise<void>;
  /** Ends the servers. */
  stop(): void;
}

/** The flags that say which files, and how they are read. */
export type FileOptions = Pick<EndpointOptions, 'from' | 'redisServer' | 'db'>;

/**
 * @param isLoaded whether a dump is loaded by a server too, rather than read as it is.
 * @throws UsageError or PreflightError when a file can't be used; no server is left then.
 */
export async function openFiles(
  options: FileOptions,
  loading: Loading,
  isLoaded: (dump: string) => Promise<boolean> = () => Promise.resolve(false),
): Promise<OpenedFiles> {
  const { warn } = loading;
  const read: { path: string; file: string }[] = [];
  const servers: NamedServer[] = [];
  const started: Scratch[] = [];
  const stop = (): void => {
    for (const scratch of started) void scratch.stop();
  };
  await checkDistinct(dumpsIn(options));
  try {
    for (const path of dumpsIn(options)) {
      const appendOnly = path === '-' ? undefined : await appendOnlyAt(path);
      const dump = appendOnly ? appendOnly.dump : path;
      if (dump !== undefined && !(await isLoaded(dump))) {
        read.push({ path, file: dump });
        continue;
      }
      if (path === '-') {
        throw new UsageError(
          'What comes on standard input can be read only once, and has to be looked up: save it in a file, and give that in --from.',
        );
      }
      const file = appendOnly ?? (await dumpAt(path));
      if (file.bytes === 0) warn(`${path} is empty: there is nothing in it to import.`);
      // One after the other: each takes the memory that the next one's check has to see.
      const scratch = await startScratch(file, options.redisServer, loading);
      started.push(scratch);
      if (scratch.warning !== undefined) warn(scratch.warning);
      const job = jobOfFile(path, file.identity, String(readDatabases(options.db) ?? 0));
      servers.push({ endpoint: scratch.endpoint, inCluster: false, file: path, job });
    }
    const settled = async (): Promise<void> => {
      await Promise.all(started.map((scratch) => scratch.settled()));
    };
    return { read, servers, settled, stop };
  } catch (error) {
    stop();
    throw error;
  }
}

/** A file may have several names. */
async function checkDistinct(paths: readonly string[]): Promise<void> {
  const known = new Map<string, string>();
  for (const path of paths) {
    const { dev, ino } = path === '-' ? { dev: 0, ino: 0 } : await stat(path);
    const file = [dev, ino].join('.');
    const other = known.get(file);
    if (other !== undefined) {
      throw new UsageError(
        other === path
          ? `--from ${path} is given twice: name each file once.`
          : `--from ${other} and --from ${path} are the same file: name it once.`,
      );
    }
    known.set(file, path);
  }
}
