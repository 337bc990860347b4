/** Whether an application and its data can live in a cluster: from options to a report. */
import { writeFile } from 'node:fs/promises';
import { accessRows } from '../access.js';
import { functionLibraries, readData } from '../assess/data.js';
import { assessPage } from '../assess/html.js';
import { keyFinder } from '../assess/key-positions.js';
import { type AssessReport, buildAssessReport, type TargetNode } from '../assess/report.js';
import { readCommandStats } from '../assess/stats.js';
import { watchCommands } from '../assess/watch.js';
import { createWorkload } from '../assess/workload.js';
import { ImportError, PreflightError, UsageError } from '../errors.js';
import { importRows } from '../options.js';
import { connect } from '../redis/connection.js';
import { openControl } from '../redis/control.js';
import { addressOf, type Endpoint, printable } from '../redis/endpoint.js';
import { parseNat } from '../redis/nat.js';
import { askAt } from '../verify/server.js';
import { locate } from '../redis/sentinel.js';
import { readServerFacts } from '../redis/server.js';
import { openTopology } from '../redis/topology.js';
import { count, duration, given, readRows, type Rows, text, type Values } from '../rows.js';
import type { Logger } from '../types.js';
import { version } from '../version.js';
import { insecurity, readEndpoint } from '../preflight/endpoints.js';
import { modulesOf } from '../preflight/modules.js';

export const assessRows = {
  from: given({ flag: '--from <endpoint>', help: 'the server that is to move' }),
  to: text({ flag: '--to <endpoint>', help: 'any node of the cluster that it is to move into' }),
  ...accessRows,
  watchMs: duration(
    {
      flag: '--watch <time>',
      help: 'watch the commands for so long (60s); MONITOR slows a busy source down meanwhile',
    },
    { fallback: 0, min: 0, max: 86_400_000 },
  ),
  watchLimit: count(
    { flag: '--watch-limit <n>', help: 'watch no more commands' },
    { fallback: 1_000_000, min: 1, max: Number.MAX_SAFE_INTEGER },
  ),
  watchLatencyMs: duration(
    {
      flag: '--watch-latency <ms>',
      help: 'end watching when the server takes so much longer to answer',
    },
    { fallback: 250, min: 1, max: 3_600_000 },
  ),
  sample: count(
    { flag: '--sample <n>', help: 'how many keys to look at, taken at random' },
    { fallback: 2000, min: 0, max: 1_000_000 },
  ),
  html: text({ flag: '--html <file>', help: 'write the report to a file, as one page' }),
  timeoutMs: importRows.timeoutMs,
} satisfies Rows;

export type AssessOptions = Values<typeof assessRows>;
export type GivenAssessOptions = Readonly<Record<string, unknown>> & { readonly from: string };

export interface AssessContext {
  /** Ends the watching early. */
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
  /** Called before MONITOR begins, with what that means. */
  readonly onWatch?: ((sentence: string) => void) | undefined;
}

/** @throws UsageError or PreflightError when a server can't be asked. */
export async function assess(
  given: GivenAssessOptions,
  context: AssessContext = {},
): Promise<AssessReport> {
  const options = readRows(assessRows, given);
  try {
    const report = await look(options, context);
    if (options.html !== undefined) await writePage(options.html, report);
    return report;
  } catch (error) {
    if (!(error instanceof ImportError) || error.exitCode === 2) throw error;
    throw new PreflightError(error.message, { cause: error });
  }
}

async function look(options: AssessOptions, context: AssessContext): Promise<AssessReport> {
  const { timeoutMs } = options;
  const from = await readEndpoint(options.from, 'from', options);
  const risk = insecurity(from, 'from');
  if (risk !== undefined) context.logger?.warn({}, risk);
  const located = await locate(from, timeoutMs);
  const control = await openControl(located, { side: 'from', timeoutMs });
  try {
    const facts = await readServerFacts(control);
    const stats = readCommandStats(await control.info('commandstats'));
    const { slots, ...data } = await readData(control, from.db, options.sample);
    const modules = [...(await modulesOf(control))];
    const functions = await functionLibraries(control);
    const keys = data.databases.find(({ db }) => db === from.db)?.keys ?? 0;
    const nodes =
      options.to === undefined
        ? undefined
        : await readTarget(options, slots, keys * data.meanBytes);
    const watch = options.watchMs > 0 ? await watched(located, options, context) : undefined;
    return buildAssessReport({
      from: printable(from),
      source: { version: facts.version },
      commandStats: stats,
      data: { ...data, modules, functions },
      ...(watch && { watch }),
      ...(nodes && { to: nodes.to, nodes: nodes.nodes }),
      version,
    });
  } finally {
    control.close();
  }
}

async function watched(endpoint: Endpoint, options: AssessOptions, context: AssessContext) {
  const { watchMs, watchLimit, watchLatencyMs: slowMs, timeoutMs } = options;
  const asking = await connect(endpoint, { timeoutMs });
  let workload;
  try {
    workload = createWorkload(keyFinder(await askAt(asking, ['COMMAND'])));
  } finally {
    asking.close();
  }
  context.onWatch?.(
    `Watching the commands of ${addressOf(endpoint)} for ${String(watchMs / 1000)} s, or ${String(watchLimit)} commands: MONITOR may cost a busy server half of its speed meanwhile.`,
  );
  const signal = context.signal ?? new AbortController().signal;
  const ended = await watchCommands(
    endpoint,
    { forMs: watchMs, limit: watchLimit, slowMs, timeoutMs, signal },
    workload.add,
  );
  return { ...ended, commands: workload.commands, patterns: workload.patterns() };
}

async function readTarget(options: AssessOptions, slots: Float64Array, bytes: number) {
  const { timeoutMs } = options;
  const to = await readEndpoint(options.to ?? '', 'to', options);
  const seed = await openControl(to, { side: 'to', timeoutMs });
  try {
    const topology = await openTopology(seed, { timeoutMs, nat: options.nat.map(parseNat) });
    const sampled = Math.max(
      1,
      slots.reduce((sum, count) => sum + count, 0),
    );
    const nodes: TargetNode[] = [];
    for (const node of topology.masters) {
      const control = await openControl(topology.endpointOf(node), { side: 'to', timeoutMs });
      try {
        const info = await control.info();
        const own = slots.reduce(
          (sum, count, slot) =>
            topology.nodes[topology.owners[slot] as number]?.address === node.address
              ? sum + count
              : sum,
          0,
        );
        const limit = Number(info.get('maxmemory') ?? 0);
        nodes.push({
          address: node.address,
          version: info.get('redis_version') ?? '',
          share: own / sampled,
          expectedBytes: Math.round((bytes * own) / sampled),
          ...(limit > 0 && { freeBytes: limit - Number(info.get('used_memory') ?? 0) }),
          evictionPolicy: info.get('maxmemory_policy') ?? '',
        });
      } finally {
        control.close();
      }
    }
    return { to: seed.address, nodes };
  } finally {
    seed.close();
  }
}

async function writePage(path: string, report: AssessReport): Promise<void> {
  try {
    await writeFile(path, assessPage(report));
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--html can't be written (${words}): choose another file.`, {
      cause: error,
    });
  }
}
