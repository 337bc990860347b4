/** `cluster-import [import]`: flags and signals to a run, its report to standard output. */
import { askPasswords, terminal } from './typed.js';
import { accessRows, queueAccessRows } from '../options/access.js';
import { runImport } from '../commands/import.js';
import { exitCodeFor, messageOf } from '../errors.js';
import { createLogger } from '../watch/log.js';
import { screenOf } from '../watch/screen.js';
import {
  cliRows,
  type ImportOptions,
  importRows,
  readCliOptions,
  readOptions,
} from '../options/options.js';
import type { Report } from '../report.js';
import type { Steering } from '../run/steer.js';
import { summarize } from '../summary.js';
import { statusWords } from './ctl-verb.js';
import { canHearKeys, hearKeys, type TerminalKeys } from './terminal-keys.js';
import { printRefusal, type Shell, type Verb } from './verb.js';

const groups = [
  {
    title: 'Common options',
    names: ['from', 'to', 'copy', 'replace', 'follow', 'dryRun', 'verify', 'metrics', 'json'],
  },
  { title: 'Other sources', names: ['fromCluster', 'db', 'redisServer', 'damaged'] },
  {
    title: 'Which keys, and their names',
    names: [...['match', 'exclude', 'type', 'minTtlMs', 'onlyKeys', 'keyPrefix'], 'functions'],
  },
  {
    title: 'Following a live source (--follow)',
    names: ['cutover', 'onCutover', 'maxHoldMs', 'fence', 'feed'],
  },
  {
    title: 'Speed',
    names: [
      ...['maxRate', 'maxBandwidth', 'maxSourceLatencyMs'],
      ...['mover', 'splitAboveBytes', 'maxBlockMs'],
    ],
  },
  { title: 'Many processes, many machines', names: ['workers', 'queue'] },
  {
    title: 'Safety',
    names: [
      ...['waitReplicas', 'waitFsync', 'allowEviction', 'guard'],
      ...['state', 'timeoutMs', 'retryForMs'],
    ],
  },
  {
    title: 'Output',
    names: [
      ...['report', 'failedKeys', 'metricsLingerSeconds', 'push'],
      ...['logFormat', 'logLevel', 'quiet'],
    ],
  },
  {
    title: 'Passwords, TLS and addresses',
    names: ['askPassword', ...Object.keys(accessRows), ...Object.keys(queueAccessRows)],
  },
];

const keyHint = 'p pause · r resume · s status · q stop';

const exitCodes = { complete: 0, incomplete: 1, failed: 3 } as const;
const interruptedCode = 130;

const afterHelp = `
Examples:
  Move everything from a server into the cluster that a node belongs to:
    $ cluster-import --from 10.0.0.5:6379 --to 10.0.1.1:7000

  Leave the source as it is, and keep what the cluster already has:
    $ cluster-import --from 10.0.0.5:6379/3 --to 10.0.1.1:7000 --copy --no-replace

  With passwords out of the process list, and metrics for Prometheus:
    $ export CLUSTER_IMPORT_FROM_PASSWORD=… CLUSTER_IMPORT_TO_PASSWORD=…
    $ cluster-import --from 10.0.0.5:6379 --to 10.0.1.1:7000 --metrics 9090

Endpoints: host:port, [v6]:port, redis://[user[:password]@]host[:port][/db], rediss://… for TLS; as a
source also sentinel://[user:password@]name@host:port,host:port[/db], or sentinels://….

Exit codes: 0 every key arrived; 1 some are left, each accounted for; 2 wrong usage, or a check
failed before anything moved; 3 stopped midway, nothing lost; 129, 130, 143 stopped by a signal.
`;

export const importVerb: Verb = {
  name: 'import',
  description: 'Moves a running Redis into a Redis Cluster, every key accounted for.',
  usage: '--from <endpoint> --to <endpoint> [options]',
  rows: { ...importRows, ...cliRows },
  groups,
  afterHelp,
  run,
};

async function run(typed: Readonly<Record<string, unknown>>, shell: Shell): Promise<number> {
  const { json, askPassword, logFormat, logLevel } = readCliOptions(typed);
  const screen = screenOf(process.stderr);
  const { palette } = screenOf(process.stdout);
  const forMachines = logFormat === 'json';
  const logger = createLogger({
    format: logFormat,
    level: shell.isDebugging ? 'debug' : (logLevel ?? (forMachines ? 'info' : 'warn')),
    write: screen.write,
  });
  const say = (words: string, signal: string): void => {
    if (forMachines) logger.info({ signal }, words);
    else screen.write(`\n${words}\n`);
  };
  let isUnderWay = false;
  let steering: Steering | undefined;
  let isHeldFromStart = false;
  // From now on, because unless somebody listens it ends the process.
  process.on('SIGUSR2', () => {
    if (steering?.isPaused === true) steering.resume();
    else if (steering) steering.pause();
    else {
      isHeldFromStart = !isHeldFromStart;
      const words = isHeldFromStart ? 'It will be paused' : 'It will not be paused';
      say(`${words} as soon as it has begun.`, 'SIGUSR2');
    }
  });
  const given = askPassword ? { ...typed, ...(await askPasswords(typed, terminal())) } : typed;
  const stop = shell.catchSignals((name) => {
    if (!isUnderWay) return;
    say('Stopping after the batches in flight; once more to stop at once.', name);
  });
  const options = commandOptions(given);
  const { stdin } = process;
  const hearsKeys = screen.isTerminal && !options.quiet && canHearKeys(stdin);
  let keys: TerminalKeys | undefined;
  try {
    const report = await runImport(options, {
      signal: stop.signal,
      hint: hearsKeys ? keyHint : undefined,
      stderr: forMachines ? undefined : process.stderr,
      logger,
      onStart(started) {
        isUnderWay = true;
        steering = started.steering;
        if (isHeldFromStart) steering.pause();
        if (!hearsKeys) return;
        keys = hearKeys(stdin, {
          p() {
            started.steering.pause();
          },
          r() {
            started.steering.resume();
          },
          s() {
            screen.write(statusWords(started.now()));
          },
          q() {
            process.kill(process.pid, 'SIGINT');
          },
        });
      },
      onReport(known) {
        isUnderWay = false;
        keys?.close();
        process.stdout.write(json ? `${JSON.stringify(known)}\n` : summarize(known, palette));
      },
    });
    return exitCodeOf(report, stop.exitCode);
  } catch (error) {
    if (!forMachines) throw error;
    const exitCode = exitCodeFor(error, stop.exitCode);
    logger.error({ exitCode }, messageOf(error));
    if (json) printRefusal(messageOf(error), exitCode);
    return exitCode;
  } finally {
    keys?.close();
  }
}

/** A command keeps a journal and can be found by `ctl`; programs have to ask for these. */
function commandOptions(given: Readonly<Record<string, unknown>>): ImportOptions {
  const options = readOptions(given);
  const state = options.state === false ? true : options.state;
  // MIGRATE keeps the source's clients waiting for the node, however little it is given.
  const usual = options.mover === 'migrate' ? 'off' : 'auto';
  const maxSourceLatencyMs =
    given.maxSourceLatencyMs === undefined ? usual : options.maxSourceLatencyMs;
  return { ...options, state, control: true, measureLatency: !options.quiet, maxSourceLatencyMs };
}

function exitCodeOf({ status }: Report, stoppedWith: number | undefined): number {
  return status === 'interrupted' ? (stoppedWith ?? interruptedCode) : exitCodes[status];
}
