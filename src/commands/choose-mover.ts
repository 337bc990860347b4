/** Which mover a run takes, and why: the report says so. */
import { PreflightError } from '../errors.js';
import type { ImportOptions } from '../options.js';
import type { MoverName } from '../types.js';
import type { Ready } from './preflight.js';
import { waitsForReplicas } from './replicas.js';

/** `auto`: both can work, and what they do is measured. */
export interface Choice {
  readonly name: MoverName | 'auto';
  readonly reason: string;
}

/** @throws PreflightError when the mover that was asked for can't work between these servers. */
export function chooseMover(ready: Ready, options: ImportOptions): Choice {
  if (options.mover === 'relay') return { name: 'relay', reason: 'asked for with --mover' };
  const obstacle = obstacleToMigrate(ready, options);
  if (options.mover === 'migrate') {
    if (obstacle === undefined) return { name: 'migrate', reason: 'asked for with --mover' };
    throw new PreflightError(
      `--mover migrate can't be used with ${ready.source.name}: ${obstacle}; leave --mover out, or say --mover relay.`,
    );
  }
  if (obstacle !== undefined) return { name: 'relay', reason: obstacle };
  if (waitsForReplicas(ready, options)) {
    return { name: 'relay', reason: 'MIGRATE does not wait for replicas before it deletes' };
  }
  return { name: 'auto', reason: '' };
}

/** Why MIGRATE can't do what was asked for between these servers. */
function obstacleToMigrate(ready: Ready, options: ImportOptions): string | undefined {
  const { has, version } = ready.source;
  if (!has.migrate) return 'it has no command MIGRATE';
  if (options.copy && !has.migrateCopy) return `MIGRATE of Redis ${version} can't copy`;
  if (options.replace === true && !has.migrateCopy)
    return `MIGRATE of Redis ${version} can't overwrite`;
  if (options.mover === 'auto' && !has.migrateKeys) {
    return `MIGRATE of Redis ${version} moves one key at a time`;
  }
  return undefined;
}
