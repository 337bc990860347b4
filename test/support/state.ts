/**
 * Runs keep journals in the user's state folder. Those of tests get one of their own, so that they
 * neither go on with what others began nor leave anything behind.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const stateFolder = mkdtempSync(join(tmpdir(), 'cluster-import-state-'));

// Where processes that this one starts look for it too.
process.env['XDG_STATE_HOME'] = stateFolder;
process.once('exit', forgetRuns);

/** What earlier runs have left to go on with. */
export function forgetRuns(): void {
  rmSync(stateFolder, { recursive: true, force: true });
}
