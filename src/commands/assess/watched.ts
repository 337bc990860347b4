/** Watching, from options to its part of the report, with what the server counted meanwhile. */
import { keyFinder } from '../../redis/command-keys.js';
import type { WatchReport } from '../../assess/assess-report.js';
import { type ClientIdentity, groupClients, readClientList } from '../../assess/clients.js';
import { type CommandCount, countsAround, readCommandStats } from '../../assess/stats.js';
import { watchCommands } from '../../assess/monitor.js';
import { createWorkload } from '../../assess/workload.js';
import { ImportError, RefusedError } from '../../errors.js';
import { formatCount, formatDuration } from '../../format.js';
import { connect } from '../../redis/connection.js';
import type { Control } from '../../redis/control.js';
import { addressOf } from '../../redis/endpoint.js';
import { askAt, shaOf } from '../../redis/ask.js';
import type { AssessOptions } from '../../options/verb-options.js';
import { presenceScript } from '../../movers/migrate/migrate-command.js';
import { guardScript, sameSlotScript } from '../../movers/relay/guard-by-counter.js';
import { fingerprintScript, ifUnchangedScript } from '../../movers/relay/guard-by-watch.js';

/** The live things that watching needs. */
interface WatchContext {
  readonly signal?: AbortSignal | undefined;
  readonly onWatch?: ((sentence: string) => void) | undefined;
}

export interface WatchedCounts {
  readonly watch: WatchReport;
  readonly commandStats: readonly CommandCount[];
}

/** @param first what the server had counted before we asked it anything else. */
export async function watched(
  control: Control,
  first: readonly CommandCount[],
  options: AssessOptions,
  { signal = new AbortController().signal, onWatch }: WatchContext,
): Promise<WatchedCounts> {
  const { watchMs, watchLimit, watchLatencyMs: slowMs, timeoutMs } = options;
  const { endpoint } = control;
  const asking = await connect(endpoint, { timeoutMs });
  let workload;
  try {
    workload = createWorkload(keyFinder(await askAt(asking, ['COMMAND'])));
  } finally {
    asking.close();
  }
  const before = readCommandStats(await control.info('commandstats'));
  onWatch?.(
    `Watching the commands of ${addressOf(endpoint)} for ${formatDuration(watchMs)}, or ${formatCount(watchLimit)} commands.\nMONITOR may cost a busy server half of its speed meanwhile.`,
  );
  const early = await readClients(control);
  const ended = await watchCommands(
    endpoint,
    { forMs: watchMs, limit: watchLimit, slowMs, timeoutMs, signal },
    workload.add,
  );
  const after = await control.info('commandstats').then(readCommandStats, (error: unknown) => {
    // What was seen is reported even if the server is gone.
    if (error instanceof ImportError) return before;
    throw error;
  });
  const late = await readClients(control).catch((error: unknown) => {
    if (error instanceof ImportError) return [];
    throw error;
  });
  // Who came, or went, while it was watched is in one of them only.
  const known = new Map([...early, ...late]);
  return {
    watch: {
      ...ended,
      commands: workload.commands,
      patterns: workload.patterns(known),
      leftOut: workload.leftOut,
      databases: [...workload.databases]
        .map(([db, clients]) => ({ db, clients: groupClients(clients, known) }))
        .sort((one, other) => one.db - other.db),
      cut: [...workload.cut].map(([command, count]) => ({ command, count })),
    },
    commandStats: countsAround({ first, before, after, seen: workload.counts }),
  };
}

/** What connections are called; nothing, where it may not be asked. */
async function readClients(control: Control): Promise<ReadonlyMap<string, ClientIdentity>> {
  try {
    return readClientList(String(await control.call('CLIENT', 'LIST')));
  } catch (error) {
    if (error instanceof RefusedError) return new Map();
    throw error;
  }
}

/*
 * Whether the scripts that a source has counted are those of imports. INFO commandstats counts EVALSHA and not whose
 * scripts they were. But a server keeps each script that was called, and says how many it keeps: if these are no
 * more than our own that it knows, nobody else has called one.
 */

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
