/** Watching, from options to its part of the report, with what the server counted meanwhile. */
import { keyFinder } from '../../redis/command-keys.js';
import type { WatchReport } from '../../assess/assess-report.js';
import { type ClientIdentity, groupClients, readClientList } from '../../assess/clients.js';
import { type CommandCount, countsAround, readCommandStats } from '../../assess/stats.js';
import { watchCommands } from '../../assess/monitor-watch.js';
import { createWorkload } from '../../assess/workload.js';
import { ImportError, RefusedError } from '../../errors.js';
import { formatCount, formatDuration } from '../../format.js';
import { connect } from '../../redis/connection.js';
import type { Control } from '../../redis/control.js';
import { addressOf } from '../../redis/endpoint.js';
import { askAt } from '../../redis/ask.js';
import type { AssessOptions } from './assess-options.js';

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
