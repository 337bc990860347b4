/** Where a run keeps its journal without --state: in the user's folder for such things. */
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { mkdir, open, rename, stat } from 'node:fs/promises';

/** File names may have 255 bytes; both endpoints get a share of them. */
const shownLength = 80;

/** What a job is known by before any server is asked. */
export interface JobName {
  /** `host:port/db` of each source. */
  readonly from: readonly string[];
  /** `host:port` of the seed. */
  readonly to: string;
  readonly mode: 'move' | 'copy' | 'follow';
}

type Environment = Readonly<Record<string, string | undefined>>;

/** `~/.local/state/cluster-import/<from>--<to>-<digest>.json`, or as the system wants it. */
export function defaultStatePath(
  job: JobName,
  env: Environment = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  // The digest tells apart what looks the same once it is cut and cleaned.
  const digest = createHash('sha1').update(JSON.stringify([job.from, job.to, job.mode]));
  const from = cleanName(job.from.join('+'));
  const name = `${from}--${cleanName(job.to)}-${digest.digest('hex').slice(0, 8)}.json`;
  return join(stateFolder(env, platform), 'cluster-import', name);
}

/** The user's folder for such things. */
export function stateFolder(env: Environment, platform: NodeJS.Platform): string {
  if (env['XDG_STATE_HOME']) return env['XDG_STATE_HOME'];
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support');
  if (platform === 'win32') return env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local');
  return join(homedir(), '.local', 'state');
}

/** What may stand in a file's name. */
export function cleanName(text: string): string {
  return text.replace(/[^\w.-]+/g, '_').slice(0, shownLength);
}

/* Files that are either the old one or the new one, whatever happens while they are written. */

/**
 * Replaces a file: the new one is whole on disk before it takes the old one's name. Only one writer
 * at a time (the journal's lock sees to that), so what a killed one left behind is written over.
 */
export async function replaceFile(path: string, data: string | Uint8Array): Promise<void> {
  const draft = `${path}.new`;
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
  await syncFolder(dirname(path));
}

/** The folder that a file is to be in. */
export async function makeFolder(path: string): Promise<void> {
  await makeFolders(dirname(path));
}

/** Level by level: Node's own way goes round for ever where a folder can't be made, as in /proc. */
async function makeFolders(folder: string): Promise<void> {
  if (await isFolder(folder)) return;
  if (dirname(folder) !== folder) await makeFolders(dirname(folder));
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (!(await isFolder(folder))) throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === true;
}

/** So that the new name outlives a power cut too; not every system lets folders be synced. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    await folder.sync().finally(() => folder.close());
  } catch {
    // The file itself is safe.
  }
}
