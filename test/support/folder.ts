/** A folder of its own for a test file, removed at its end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** To be called at the top of a test file. @returns makes a new path in the folder. */
export function setFolder(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-import-files-'));
  let count = 0;
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return (name) => join(folder, `${String(count++)}-${name}`);
}
