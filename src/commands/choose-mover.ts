/** Which mover a run takes, and why: the report says so. */
import { PreflightError } from '../errors.js';
import type { ImportOptions } from '../options.js';
import type { MoverName } from '../types.js';
import type { Ready } from './preflight.js';

export interface Choice {
  readonly name: MoverName;
  readonly reason: string;
}

/** @throws PreflightError when the mover that was asked for can't work between these servers. */
export function chooseMover(ready: Ready, options: ImportOptions): Choice {
  if (options.mover === 'relay') return { name: 'relay', reason: 'asked for with --mover' };
  if (options.mover === 'auto') {
    return {
      name: 'relay',
      reason: 'the source never waits for a node with it, and the nodes work side by side',
    };
  }
  const { has, version } = ready.source;
  const refusal = `--mover migrate can't be used with ${ready.source.name}`;
  const way = 'leave --mover out, or say --mover relay';
  if (!has.migrate) throw new PreflightError(`${refusal}: it has no command MIGRATE; ${way}.`);
  if (options.copy && !has.migrateCopy) {
    throw new PreflightError(
      `${refusal} and --copy: MIGRATE of Redis ${version} only moves; ${way}.`,
    );
  }
  if (options.replace === true && !has.migrateCopy) {
    throw new PreflightError(
      `${refusal} and --replace: MIGRATE of Redis ${version} never overwrites; ${way}.`,
    );
  }
  return { name: 'migrate', reason: 'asked for with --mover' };
}
