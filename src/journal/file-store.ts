/** A journal in a file, with its lock and the keys that were moved beside it. */
import { readFile, rm } from 'node:fs/promises';
import { makeFolder, replaceFile } from './atomic-file.js';
import type { JournalStore } from './journal-store.js';
import { takeLock } from './lock.js';
import { movedFiles, movedKeys } from './moved.js';

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
