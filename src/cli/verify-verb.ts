/** `cluster-import verify`: a line for each difference on standard output, and a report behind them. */
import { formatCount } from '../format.js';
import { accessRows } from '../options/access.js';
import { runVerify } from '../commands/verify.js';
import { readVerifyOptions, verifyRows } from '../options/verb-options.js';
import { screenOf } from '../watch/screen.js';
import { cliRows } from '../options/options.js';
import { differenceLine, listedAtMost } from '../verify/differences.js';
import { summarizeVerify } from '../verify/verify-report.js';
import { readTyped } from './typed.js';
import type { Shell, Verb } from './verb.js';

const exitCodes = { equal: 0, different: 1, failed: 3 } as const;
const interruptedCode = 130;

const { json, askPassword } = cliRows;

const afterHelp = `
Both directions are looked at: keys that the cluster lacks, and keys that no source has. Type, value
and TTL are compared. What is compared is the source as it is now: after a move, name a copy of it.

Examples:
  $ cluster-import verify --from 10.0.0.5:6379 --to 10.0.1.1:7000
  $ cluster-import verify --from 10.0.0.5:6379 --to 10.0.1.1:7000 --sample 1% --json
  $ cluster-import verify --from 10.0.0.5:6379 --to 10.0.1.1:7000 --repair

Exit codes: 0 equal (after --repair: equal now); 1 differences; 2 wrong usage, or a check failed before
anything was compared; 3 stopped midway; 129, 130, 143 stopped by a signal.
`;

const groups = [
  {
    title: 'Common options',
    names: ['from', 'to', 'repair', 'sample', 'fast', 'ttlToleranceMs', 'differences', 'json'],
  },
  { title: 'Other sources', names: ['fromCluster', 'db', 'redisServer'] },
  {
    title: 'What the import selected and renamed',
    names: ['match', 'exclude', 'type', 'minTtlMs', 'keyPrefix'],
  },
  { title: 'Patience and output', names: ['timeoutMs', 'retryForMs', 'quiet'] },
  { title: 'Passwords, TLS and addresses', names: ['askPassword', ...Object.keys(accessRows)] },
];

export const verifyVerb: Verb = {
  name: 'verify',
  description: 'Compares a source with the cluster, key by key, both ways.',
  usage: '--from <endpoint> --to <endpoint> [options]',
  rows: { ...verifyRows, json, askPassword },
  groups,
  afterHelp,
  run,
};

async function run(typed: Readonly<Record<string, unknown>>, shell: Shell): Promise<number> {
  const { asJson, given, logger } = await readTyped(typed, shell, withFirstSource);
  const screen = screenOf(process.stderr);
  const { palette } = screenOf(process.stdout);
  const stop = shell.catchSignals(() => {
    screen.write('\nStopping after what is under way; once more to stop at once.\n');
  });
  const options = readVerifyOptions(given);
  let differences = 0;
  const report = await runVerify(options, {
    signal: stop.signal,
    stderr: process.stderr,
    logger,
    onDifference(difference) {
      differences++;
      if (!asJson && differences <= listedAtMost) print(`${differenceLine(difference)}\n`);
    },
  });
  if (!asJson && differences > listedAtMost) {
    const { differences: path } = options;
    const all =
      path === undefined ? '--differences <file> writes all of them' : `all of them are in ${path}`;
    print(`… and ${formatCount(differences - listedAtMost)} more: ${all}\n`);
  }
  // Stopped or failed before the end, it has not repaired all that is listed.
  const isRepaired = options.repair && report.status === 'different';
  if (!asJson && isRepaired) {
    print('After the repair there still differ:\n');
    for (const difference of report.differences) print(`${differenceLine(difference)}\n`);
  }
  print(asJson ? `${JSON.stringify(report)}\n` : summarizeVerify(report, palette, isRepaired));
  if (report.status === 'interrupted') return stop.exitCode ?? interruptedCode;
  return exitCodes[report.status];
}

/** Both streams may be the same terminal, where a view is drawn. */
function print(text: string): void {
  if (process.stdout.isTTY) screenOf(process.stderr).write(text);
  else process.stdout.write(text);
}

/** Its password serves for all. */
function withFirstSource(
  options: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const [from] = Array.isArray(options['from']) ? (options['from'] as unknown[]) : [];
  return { ...options, from };
}
