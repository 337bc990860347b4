/**
 * Where runs can be spoken to: a socket for each in a folder that only its user can look into, named
 * after the run.
 */
import { chmod, lstat, mkdir, readdir, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanName, stateFolder } from '../journal/state-folder.js';

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
 * A path for this process's socket, in a folder that is there and nobody else's.
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

/** Whoever could write there could put a socket of his own in the place of ours. */
async function ownFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new Error(`${folder} is somebody else's`);
  }
  if ((found.mode & 0o077) !== 0) await chmod(folder, 0o700);
}

/** Every socket that is there, those of runs that were killed among them. */
export async function findSockets(): Promise<readonly SocketPlace[]> {
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

export async function removeSocket(path: string): Promise<void> {
  await unlink(path).catch(() => undefined);
}
