/** Whether an application and its data can live in a cluster: from options to a report. */
import { functionLibraries, readData } from '../assess/data.js';
import type { AssessReport, Finding } from '../assess/assess-report.js';
import type { Sample } from '../assess/key-sample.js';
import { formatCount } from '../format.js';
import { isImportAlone, readCommandStats, withOwn } from '../assess/stats.js';
import { buildAssessReport } from '../assess/findings.js';
import { ImportError, PreflightError } from '../errors.js';
import { insecurity, readEndpoint } from '../plan/endpoints.js';
import { modulesOf } from '../plan/payloads.js';
import { type Control, withControl } from '../redis/control.js';
import { printable } from '../redis/endpoint.js';
import { locate } from '../redis/sentinel.js';
import { readServerFacts } from '../redis/server.js';
import type { Logger } from '../types.js';
import { version } from '../installed.js';
import {
  type AssessOptions,
  type GivenAssessOptions,
  readAssessOptions,
} from '../options/verb-options.js';
import { openPage } from '../assess/html-page.js';
import { readOwnScripts, watched } from './assess/watched.js';
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
