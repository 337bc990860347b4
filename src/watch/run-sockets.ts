/**
 * The sockets by which runs can be steered, one for each run in a folder that only its user can look
 * into, named after the run: speaks to them, and clears away what those that were killed left.
 * The orders that a run takes stand at the end.
 */
import { chmod, lstat, mkdir, readdir, unlink } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImportError, messageOf, UsageError } from '../errors.js';
import { parseObject } from '../format.js';
import { cleanName, stateFolder } from '../journal/state-folder.js';
import {
  durationOr,
  flag,
  type Given,
  optionalBytes,
  optionalCount,
  readRows,
  type Row,
  type Rows,
  type Values,
} from '../options/rows.js';
import type { Standing } from './live.js';

const timeoutMs = 5000;
/** A cutover waits for what has to be copied first, and for the command that switches the clients. */
const cutoverTimeoutMs = 24 * 3_600_000;

/**
 * Gives a run orders.
 * @returns how it stands then.
 * @throws UsageError when the run refuses them, or does not answer.
 */
export async function tell(path: string, orders: Orders): Promise<State> {
  let text: string;
  try {
    const patienceMs = orders.cutover === true ? cutoverTimeoutMs : timeoutMs;
    text = await exchange(path, `${JSON.stringify(orders)}\n`, patienceMs);
  } catch (error) {
    const words = messageOf(error);
    throw new UsageError(`No run answers at ${path} (${words}).`, { cause: error });
  }
  const answer = readAnswer(text, path);
  if ('refused' in answer) throw new UsageError(answer.refused);
  return answer.state;
}

/**
 * Every run of this user that answers.
 * @param pid Only the run of this process is asked: others may be slow to answer.
 */
export async function findRuns(
  pid?: number,
): Promise<readonly (SocketPlace & { readonly state: State })[]> {
  const sockets = await findSockets();
  const asked = pid === undefined ? sockets : sockets.filter((place) => place.pid === pid);
  const found = await Promise.all(
    asked.map(async (place) => {
      try {
        return [{ ...place, state: await tell(place.path, {}) }];
      } catch (error) {
        if (!(error instanceof ImportError)) throw error;
        if (isDeserted(error.cause)) await removeSocket(place.path);
        return [];
      }
    }),
  );
  return found.flat();
}

/** Removes the sockets at which no run listens any more. */
async function sweep(): Promise<void> {
  for (const { path } of await findSockets()) {
    await exchange(path, '{}\n', timeoutMs).catch(async (error: unknown) => {
      if (isDeserted(error)) await removeSocket(path);
    });
  }
}

function isDeserted(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
}

function readAnswer(text: string, path: string): Answer {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    throw new UsageError(`What answers at ${path} is not a run of cluster-import.`);
  }
}

function exchange(path: string, line: string, patienceMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path, () => socket.write(line));
    socket.setEncoding('utf8').setTimeout(patienceMs, () => {
      socket.destroy(new Error(`no answer within ${String(patienceMs / 1000)} s`));
    });
    socket.on('data', (piece: string) => (text += piece));
    socket.once('error', reject);
    socket.once('close', () => {
      resolve(text);
    });
  });
}

/** The kernel's bound on a socket's path, the least of all systems. */
const longestPath = 103;
/** What must be left of a run's name for it to mean something. */
const shortestName = 16;

export interface SocketPlace {
  readonly path: string;
  readonly pid: number;
}

/** Where sockets may be, the first choice first. */
function folders(env: NodeJS.ProcessEnv = process.env): readonly string[] {
  const runtime = env['XDG_RUNTIME_DIR'];
  return [
    ...(runtime ? [join(runtime, 'cluster-import')] : []),
    join(stateFolder(env, process.platform), 'cluster-import', 'run'),
    // State folders may lie too deep for a socket's name.
    join(tmpdir(), `cluster-import-${String(process.getuid?.() ?? 0)}`),
  ];
}

/**
 * A path for this process's socket, in a folder that exists and belongs to this user alone.
 * @throws Error when there is no such folder.
 */
async function newSocketPath(from: string, to: string): Promise<string> {
  let trouble: unknown;
  for (const folder of folders()) {
    const end = `.${String(process.pid)}.sock`;
    const room = longestPath - Buffer.byteLength(folder) - 1 - end.length;
    if (room < shortestName) continue;
    try {
      await ownFolder(folder);
      return join(folder, `${cleanName(`${from}--${to}`).slice(0, room)}${end}`);
    } catch (error) {
      trouble = error;
    }
  }
  throw new Error('there is no folder of your own for a socket', { cause: trouble });
}

/** Another user who could write there could put a socket in the place of ours. */
async function ownFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new Error(`${folder} is somebody else's`);
  }
  if ((found.mode & 0o077) !== 0) await chmod(folder, 0o700);
}

/** Every socket that is there, those of runs that were killed among them. */
async function findSockets(): Promise<readonly SocketPlace[]> {
  const found = await Promise.all(
    folders().map(async (folder) => {
      const names = await readdir(folder).catch(() => []);
      return names.flatMap((name): SocketPlace[] => {
        const pid = /\.(\d+)\.sock$/.exec(name)?.[1];
        return pid === undefined ? [] : [{ path: join(folder, name), pid: Number(pid) }];
      });
    }),
  );
  return found.flat().sort((one, other) => one.pid - other.pid);
}

async function removeSocket(path: string): Promise<void> {
  await unlink(path).catch(() => undefined);
}

/*
 * Where a run takes orders: a socket that only its user may open. One line in, one line out, each a
 * JSON object.
 */

/** A client that connects and sends nothing is disconnected. */
const patienceMs = 5000;
const longestLine = 16 * 1024;
const maxConnections = 16;

export interface ControlSocket {
  readonly path: string;
  close(): void;
}

/**
 * @param obey carries orders out, for as long as that takes, and returns how the run stands then.
 * @throws Error when there is no place for a socket.
 */
export async function listenForOrders(
  run: { readonly from: string; readonly to: string },
  obey: (orders: Orders) => Promise<State>,
): Promise<ControlSocket> {
  await sweep();
  const path = await newSocketPath(run.from, run.to);
  const server = createServer((socket) => {
    hear(socket, obey);
  });
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  // Until now its folder kept others out.
  await chmod(path, 0o600);
  server.unref();
  return {
    path,
    close: () => void server.close(),
  };
}

function hear(socket: Socket, obey: (orders: Orders) => Promise<State>): void {
  let text = '';
  socket.setEncoding('utf8').setTimeout(patienceMs, () => socket.destroy());
  // A client that hangs up early needs no reply.
  socket.on('error', () => undefined);
  socket.unref();
  socket.on('data', (piece: string) => {
    text += piece;
    const end = text.indexOf('\n');
    if (end !== -1) {
      // A cutover takes as long as it takes.
      socket.setTimeout(0);
      void answerTo(text.slice(0, end), obey).then((answer) => {
        socket.end(`${JSON.stringify(answer)}\n`);
      });
    } else if (text.length > longestLine) socket.destroy();
  });
}

async function answerTo(line: string, obey: (orders: Orders) => Promise<State>): Promise<Answer> {
  try {
    return { state: await obey(readOrders(line)) };
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    return { refused: error.message };
  }
}

/* The orders that a run takes while it lasts, and what it answers. */

const mostKeys = { min: 1, max: 1_000_000_000 };
const mostBytes = { min: 1, max: Number.MAX_SAFE_INTEGER };
const latency = { fallback: 'off', min: 1, max: 60_000 } as const;

/** The limits, each with the word that lifts it. */
export const limitRows = {
  /** Keys a second; null: as fast as it goes. */
  rate: liftable(
    optionalCount(
      { flag: '--rate <keys/s>', help: 'move no more keys a second; none lifts the limit' },
      mostKeys,
    ),
  ),
  /** Value bytes a second. */
  bandwidth: liftable(
    optionalBytes(
      {
        flag: '--bandwidth <bytes/s>',
        help: 'move no more a second, for example 20mb; none lifts it',
      },
      mostBytes,
    ),
  ),
  /** How long clients of the source may have to wait. */
  maxSourceLatency: liftable(
    durationOr(
      {
        flag: '--max-source-latency <ms|auto>',
        help: 'throttle so that the source answers its clients within this time; auto: while others use it; none lifts it',
      },
      ['auto', 'off'],
      latency,
    ),
  ),
} satisfies Rows;

const orderRows = {
  ...limitRows,
  paused: flag({ flag: 'paused', help: 'hold the run, or let it go on' }, undefined),
  stop: flag({ flag: 'stop', help: 'end the run after the batches in flight' }, undefined),
  cutover: flag({ flag: 'cutover', help: 'let the cluster take over from the source' }, undefined),
  release: flag({ flag: 'release', help: 'let writes go on that are held' }, undefined),
} satisfies Rows;

/** What is undefined stays as it is; with nothing in it, it only asks. */
export type Orders = Partial<Values<typeof orderRows>>;

/** How a run stands: what its page shows, without the course. */
export interface State extends Standing {
  readonly pid: number;
}

type Answer = { readonly state: State } | { readonly refused: string };

/**
 * Reads what came over the socket.
 * @throws UsageError in one sentence.
 */
function readOrders(text: string): Orders {
  const value = parseObject(text);
  if (!value) throw new UsageError('Orders are one JSON object on one line.');
  return readRows(orderRows, value);
}

/** The same limits under the names that programs know them by; null lifts one. */
const namedLimitRows = {
  keysPerSecond: liftable(optionalCount({ flag: 'keysPerSecond', help: '' }, mostKeys)),
  /** Value bytes. */
  bytesPerSecond: liftable(optionalBytes({ flag: 'bytesPerSecond', help: '' }, mostBytes)),
  /** How long clients of the source may have to wait. Measuring that takes a thread. */
  sourceLatencyMs: liftable(
    durationOr({ flag: 'sourceLatencyMs', help: '' }, ['auto', 'off'], latency),
  ),
} satisfies Rows;

/** What holds a run back. What is left out stays as it is. */
export type ImportLimits = Given<typeof namedLimitRows, never>;

/** @throws UsageError naming the limit. */
export function readLimits(limits: ImportLimits): Orders {
  const { keysPerSecond, bytesPerSecond, sourceLatencyMs } = readRows(namedLimitRows, limits);
  return {
    ...(keysPerSecond !== undefined && { rate: keysPerSecond }),
    ...(bytesPerSecond !== undefined && { bandwidth: bytesPerSecond }),
    ...(sourceLatencyMs !== undefined && { maxSourceLatency: sourceLatencyMs }),
  };
}

/** What is not said stays as it is; null lifts it. */
function liftable<T, Input>(row: Row<T, Input>): Row<T | null | undefined, Input | null> {
  const words = ['none', '0', 0, null];
  return {
    ...row,
    fallback: () => undefined,
    read: (value) => (words.includes(value as never) ? null : row.read(value)),
  };
}
