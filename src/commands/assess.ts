/** Whether an application and its data can live in a cluster: from options to a report. */
import type { AssessReport, Finding, WatchReport } from '../assess/assess-report.js';
import {
  type ClientIdentity,
  groupClients,
  readClientList,
  watchCommands,
} from '../assess/monitor.js';
import { functionLibraries, readData } from '../assess/data.js';
import { buildAssessReport } from '../assess/findings.js';
import { openPage } from '../assess/html-page.js';
import type { Sample } from '../assess/key-sample.js';
import {
  type CommandCount,
  countsAround,
  isImportAlone,
  readCommandStats,
  withOwn,
} from '../assess/stats.js';
import { createWorkload } from '../assess/workload.js';
import { ImportError, PreflightError, RefusedError } from '../errors.js';
import { formatCount, formatDuration } from '../format.js';
import { version } from '../installed.js';
import { presenceScript } from '../movers/migrate/migrate-command.js';
import { guardScript, sameSlotScript } from '../movers/relay/guard-by-counter.js';
import { fingerprintScript, ifUnchangedScript } from '../movers/relay/guard-by-watch.js';
import {
  type AssessOptions,
  type GivenAssessOptions,
  readAssessOptions,
} from '../options/verb-options.js';
import { insecurity, readEndpoint } from '../plan/endpoints.js';
import { modulesOf } from '../plan/payloads.js';
import { askAt, shaOf } from '../redis/ask.js';
import { keyFinder } from '../redis/command-keys.js';
import { connect } from '../redis/connection.js';
import { type Control, locate, withControl } from '../redis/control.js';
import { addressOf, printable } from '../redis/endpoint.js';
import { readServerFacts } from '../redis/server.js';
import type { Logger } from '../types.js';
import { meetTarget } from './assess/target.js';

export interface AssessContext {
  /** Ends the watching early. */
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
  /** Called before MONITOR begins, with what that means. */
  readonly onWatch?: ((sentence: string) => void) | undefined;
}

/**
 * Tells whether an application and its data can live in a cluster.
 * @throws UsageError or PreflightError when a server can't be asked.
 */
export async function assess(
  given: GivenAssessOptions,
  context: AssessContext = {},
): Promise<AssessReport> {
  return runAssess(readAssessOptions(given), context);
}

/** The same with options that have been read. */
export async function runAssess(
  options: AssessOptions,
  context: AssessContext,
): Promise<AssessReport> {
  const page = options.html === undefined ? undefined : await openPage(options.html);
  try {
    const report = await look(options, context);
    await page?.write(report);
    return report;
  } catch (error) {
    if (!(error instanceof ImportError) || error.exitCode === 2) throw error;
    throw new PreflightError(error.message, { cause: error });
  } finally {
    await page?.close();
  }
}

async function look(options: AssessOptions, context: AssessContext): Promise<AssessReport> {
  const { timeoutMs } = options;
  const takenAt = new Date().toISOString();
  const from = await readEndpoint(options.from, 'from', options);
  const risk = insecurity(from, 'from');
  if (risk !== undefined) context.logger?.warn({}, risk);
  const located = await locate(from, timeoutMs);
  return withControl(located, { side: 'from', timeoutMs }, async (control) => {
    // Ahead of all else, since what follows counts as well.
    const stats = await control.info('commandstats');
    const scripts = await readOwnScripts(control, stats);
    const counts = readCommandStats(stats);
    const isAlone = isImportAlone(stats, scripts);
    const counted = withOwn(counts, { isAlone, ownScripts: scripts.all });
    const facts = await readServerFacts(control);
    const { data, sample } = await readData(control, options);
    const modules = await modulesOf(control);
    const functions = await functionLibraries(control);
    const all = data.databases.reduce((sum, one) => sum + one.keys, 0);
    const keys = Math.round(all * sample.share);
    const bytes = keys * data.meanBytes;
    const side = { control, keys, bytes, sample: sample.keys, modules, functions };
    const meeting = options.to === undefined ? undefined : await meetTarget(side, options);
    const seen =
      options.watchMs > 0 ? await watched(control, counted, options, context) : undefined;
    return buildAssessReport(
      {
        from: printable(from),
        takenAt,
        source: { product: facts.product, version: facts.version },
        commandStats: seen?.commandStats ?? counted,
        ...((scripts.some || isAlone) && { importedFrom: true }),
        data: { ...data, modules: [...modules], functions },
        ...(seen && { watch: seen.watch }),
        ...(meeting && { to: meeting.to, nodes: meeting.nodes, plan: meeting.plan }),
        version,
      },
      [...hiddenKeys(control, sample), ...(meeting?.findings ?? [])],
    );
  });
}

/** Of a user who is restricted to keys of some names. */
function hiddenKeys({ address }: Control, { keys, hidden }: Sample): readonly Finding[] {
  if (hidden === 0) return [];
  const all = formatCount(keys.length + hidden);
  const message = `${address} does not let this user look at ${formatCount(hidden)} of the ${all} sampled keys: pass --match with the names that it may use.`;
  return [{ blocking: false, open: true, message }];
}

/* Watching, from options to its part of the report, with what the server counted meanwhile. */

interface WatchedCounts {
  readonly watch: WatchReport;
  readonly commandStats: readonly CommandCount[];
}

/** @param first what the server had counted before we asked it anything else. */
async function watched(
  control: Control,
  first: readonly CommandCount[],
  options: AssessOptions,
  { signal = new AbortController().signal, onWatch }: AssessContext,
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

interface OwnScripts {
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
async function readOwnScripts(
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
