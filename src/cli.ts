/**
 * The command line: flags to options, signals, exit codes. The only file that knows commander, the
 * environment, or how to exit.
 */
import { Command, CommanderError, Option } from 'commander';
import { askPasswords, terminal } from './commands/ask-passwords.js';
import { importKeys } from './commands/import.js';
import { ImportError } from './errors.js';
import { createLogger } from './monitor/log.js';
import { screenOf } from './monitor/screen.js';
import { cliRows, importRows, readCliOptions } from './options.js';
import type { Report } from './report.js';
import { flagName, type Row, type Rows } from './rows.js';
import { summarize } from './summary.js';
import { version } from './version.js';

const exitCodes = { complete: 0, incomplete: 1, failed: 3 } as const;
const signals = { SIGINT: 130, SIGTERM: 143 } as const;

const examples = `
Examples:
  Move everything from a server into the cluster that a node belongs to:
    $ cluster-import --from 10.0.0.5:6379 --to 10.0.1.1:7000

  Leave the source as it is, and keep what the cluster already has:
    $ cluster-import --from 10.0.0.5:6379/3 --to 10.0.1.1:7000 --copy --no-replace

  With passwords out of the process list, and metrics for Prometheus:
    $ export CLUSTER_IMPORT_FROM_PASSWORD=… CLUSTER_IMPORT_TO_PASSWORD=…
    $ cluster-import --from 10.0.0.5:6379 --to 10.0.1.1:7000 --metrics 9090

Endpoints: host:port, [v6]:port, redis://[user[:password]@]host[:port][/db], rediss://… for TLS.

Exit codes: 0 every key arrived; 1 some are left, each accounted for; 2 wrong usage, or a check
failed before anything moved; 3 stopped midway, nothing lost; 130, 143 stopped by a signal.
`;

export async function main(argv: readonly string[]): Promise<void> {
  // What was typed may hold a password; from here on the process list does not show it.
  process.title = 'cluster-import';
  let exitCode: number;
  try {
    exitCode = await parse(argv);
  } catch (error) {
    exitCode = complain(error);
  }
  // Whatever is still open has nothing more to say.
  process.stdout.write('', () => process.exit(exitCode));
}

async function parse(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command('cluster-import')
    .version(version)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  const verb = program
    .command('import', { isDefault: true })
    .description('Moves a running Redis into a Redis Cluster, every key accounted for.')
    .usage('--from <endpoint> --to <endpoint> [options]')
    .configureHelp({ commandUsage: (command) => `cluster-import [import] ${command.usage()}` })
    .addHelpText('after', examples)
    .action(async (values: Record<string, unknown>) => {
      exitCode = await runImport(values);
    });
  for (const row of Object.values<Row<unknown>>({ ...importRows, ...cliRows })) {
    for (const option of optionsOf(row)) verb.addOption(option);
  }
  // With one verb, its help is the program's.
  program.helpInformation = () => verb.helpInformation() + examples;
  await program.parseAsync([...argv]);
  return exitCode;
}

function optionsOf(row: Row<unknown>): Option[] {
  if (row.flag === undefined) return [];
  const negated = flagName(row).replace('--', '--no-');
  return [
    row.repeatable
      ? new Option(row.flag, row.help).argParser(gather)
      : new Option(row.flag, row.help),
    ...(row.negated === undefined ? [] : [new Option(negated, row.negated)]),
  ];
}

/** A flag that stands several times gives all its values. */
function gather(value: string, before: unknown): string[] {
  return [...(Array.isArray(before) ? (before as string[]) : []), value];
}

/** The values of a table's rows: from the flags, and secrets from the environment. */
function valuesOf(rows: Rows, flags: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const values = Object.entries(rows).map(([name, row]) => {
    const [option] = optionsOf(row);
    return [name, option ? flags[option.attributeName()] : process.env[row.env ?? '']];
  });
  return Object.fromEntries(values) as Record<string, unknown>;
}

async function runImport(flags: Readonly<Record<string, unknown>>): Promise<number> {
  const { json, askPassword, logFormat, logLevel } = readCliOptions(valuesOf(cliRows, flags));
  const screen = screenOf(process.stderr);
  const forMachines = logFormat === 'json';
  const logger = createLogger({
    format: logFormat,
    level: isDebugging() ? 'debug' : (logLevel ?? (forMachines ? 'info' : 'warn')),
    write: screen.write,
  });
  const given = valuesOf(importRows, flags);
  if (askPassword) Object.assign(given, await askPasswords(given, terminal()));
  const say = (words: string, signal: string): void => {
    if (forMachines) logger.info({ signal }, words);
    else screen.write(`\n${words}\n`);
  };
  const stop = new AbortController();
  let stoppedWith: number | undefined;
  let ended = false;
  for (const [name, code] of Object.entries(signals)) {
    process.on(name, () => {
      if (stoppedWith !== undefined) process.exit(code);
      stoppedWith = code;
      stop.abort();
      if (ended) return;
      say('Stopping after the batches in flight; once more to stop at once.', name);
    });
  }
  try {
    const report = await importKeys(given as never, {
      signal: stop.signal,
      stderr: forMachines ? undefined : process.stderr,
      logger,
      onStart(throttle) {
        process.on('SIGUSR2', () => {
          if (throttle.isPaused) throttle.resume();
          else throttle.pause();
          say(throttle.isPaused ? 'Paused; SIGUSR2 goes on.' : 'Going on.', 'SIGUSR2');
        });
      },
      onReport(known) {
        ended = true;
        process.stdout.write(json ? `${JSON.stringify(known)}\n` : summarize(known));
      },
    });
    return exitCodeOf(report, stoppedWith);
  } catch (error) {
    if (!forMachines) throw error;
    const exitCode = error instanceof ImportError ? error.exitCode : 3;
    logger.error({ exitCode }, error instanceof Error ? error.message : String(error));
    return exitCode;
  }
}

function exitCodeOf({ status }: Report, stoppedWith: number | undefined): number {
  return status === 'interrupted' ? (stoppedWith ?? signals.SIGINT) : exitCodes[status];
}

/** One sentence on standard error; never a stack trace, unless asked for. */
function complain(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  if (isDebugging()) console.error(error);
  const words = error instanceof Error ? error.message : String(error);
  if (error instanceof CommanderError) {
    const sentence = words
      .replace(/^error: /, '')
      .replace(/\n+/g, ' ')
      .replace(/\.$/, '');
    process.stderr.write(`cluster-import: ${sentence}; see cluster-import --help\n`);
    return 2;
  }
  process.stderr.write(`cluster-import: ${words}\n`);
  return error instanceof ImportError ? error.exitCode : 3;
}

function isDebugging(): boolean {
  return process.env['CLUSTER_IMPORT_DEBUG'] === '1';
}
