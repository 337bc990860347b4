/** `cluster-import worker`: takes sources that runs with `--queue` have put into a queue. */
import { queueAccessRows } from '../options/access.js';
import { runWorker } from '../commands/worker.js';
import { cliRows } from '../options/options.js';
import { readRows } from '../options/rows.js';
import { createLogger } from '../watch/log.js';
import { screenOf } from '../watch/screen.js';
import { workerRows } from '../options/verb-options.js';
import type { Shell, Verb } from './verb.js';

const logRows = { logFormat: cliRows.logFormat, logLevel: cliRows.logLevel };
const { queue, concurrency, metrics, timeoutMs, ...access } = workerRows;

const afterHelp = `
It takes one source at a time (--concurrency takes more), each in a process of its own, until it is
stopped. What it was at then goes back to the queue, and on with another worker. Passwords of the
sources and of the cluster are not in the queue: each worker has them from its environment or files.

Example:
  $ export CLUSTER_IMPORT_FROM_PASSWORD=… CLUSTER_IMPORT_TO_PASSWORD=…
  $ cluster-import worker --queue 10.0.2.1:6379 --metrics 9091

Exit codes: 2 wrong usage, or the queue can't be used; 129, 130, 143 stopped by a signal.
`;

export const workerVerb: Verb = {
  name: 'worker',
  description: 'Takes sources from the queue of runs with --queue, on any machine.',
  usage: '--queue <endpoint> [options]',
  rows: { queue, concurrency, metrics, timeoutMs, ...access, ...logRows },
  groups: [
    { title: 'Common options', names: ['queue', 'concurrency', 'metrics', 'timeoutMs'] },
    {
      title: 'Passwords and TLS',
      names: Object.keys(access).filter((name) => !Object.hasOwn(queueAccessRows, name)),
    },
    { title: "Passwords and TLS of the queue's Redis", names: Object.keys(queueAccessRows) },
    { title: 'Output', names: Object.keys(logRows) },
  ],
  afterHelp,
  run,
};

async function run(typed: Readonly<Record<string, unknown>>, shell: Shell): Promise<number> {
  const { logFormat, logLevel, ...given } = typed;
  const log = readRows(logRows, { logFormat, logLevel });
  const screen = screenOf(process.stderr);
  const logger = createLogger({
    format: log.logFormat,
    level: shell.isDebugging ? 'debug' : (log.logLevel ?? 'info'),
    write: screen.write,
  });
  const stop = shell.catchSignals(() => {
    logger.info({}, 'stopping after the batches in flight');
  });
  await runWorker(given, {
    signal: stop.signal,
    logger,
    tell(sentence) {
      logger.info({}, sentence);
    },
  });
  return stop.exitCode ?? 0;
}
