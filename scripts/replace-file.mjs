/** Writes a file so that whoever reads it meanwhile gets the old one or the new one, never half of it. */
import { renameSync, writeFileSync } from 'node:fs';

/**
 * @param {string} path
 * @param {string | Uint8Array} contents
 * @param {{ readonly mode?: number }} [options]
 */
export function replaceFile(path, contents, options = {}) {
  const unfinished = `${path}.${String(process.pid)}`;
  writeFileSync(unfinished, contents, options);
  renameSync(unfinished, path);
}
