/** Files that are either the old one or the new one, whatever happens while they are written. */
import { mkdir, open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

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
