/**
 * Whether the scripts that a source has counted are those of imports. INFO commandstats counts EVALSHA and not whose
 * scripts they were. But a server keeps each script that was called, and says how many it keeps: if these are no
 * more than our own that it knows, nobody else has called one.
 */
import { presenceScript } from '../../movers/migrate/together.js';
import { guardScript, sameSlotScript } from '../../movers/relay/guard-by-counter.js';
import { fingerprintScript, ifUnchangedScript } from '../../movers/relay/guard-by-watch.js';
import { shaOf } from '../../movers/scripts.js';
import { RefusedError } from '../../errors.js';
import type { Control } from '../../redis/control.js';

export interface OwnScripts {
  /** An import was here, since the server was started. */
  readonly some: boolean;
  /** And nobody else has called a script. */
  readonly all: boolean;
}

const shas = [
  guardScript,
  sameSlotScript,
  fingerprintScript,
  ifUnchangedScript,
  presenceScript,
].map(shaOf);

/** @param stats INFO commandstats, as it was before anything was asked. */
export async function readOwnScripts(
  control: Control,
  stats: ReadonlyMap<string, string>,
): Promise<OwnScripts> {
  try {
    const known = await control.call('SCRIPT', 'EXISTS', ...shas);
    const own = (Array.isArray(known) ? known : []).filter((one) => Number(one) === 1).length;
    const kept = (await control.info('memory')).get('number_of_cached_scripts');
    // What was forgotten by order is not kept. Before 7.0 it is not counted by itself, so it may have been.
    const mayBeFlushed = stats.has('cmdstat_script|flush') || stats.has('cmdstat_script');
    return { some: own > 0, all: own > 0 && Number(kept) === own && !mayBeFlushed };
  } catch (error) {
    if (error instanceof RefusedError) return { some: false, all: false };
    throw error;
  }
}
