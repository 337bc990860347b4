/**
 * The sockets by which runs can be steered, one for each run in a folder that only its user can look
 * into, named after the run: speaks to them, and clears away what those that were killed left.
 */
import { chmod, lstat, mkdir, readdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImportError, messageOf, UsageError } from '../errors.js';
import { cleanName, stateFolder } from '../journal/state-folder.js';
import type { Answer, Orders, State } from './orders.js';

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
export async function sweep(): Promise<void> {
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
export async function newSocketPath(from: string, to: string): Promise<string> {
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
