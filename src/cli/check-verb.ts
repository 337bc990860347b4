/** `cluster-import check`: whether a cluster is sound, as text or JSON on standard output. */
import { clusterAccessRows } from '../options/access.js';
import { checkRows, readCheckOptions, runCheck } from '../commands/check.js';
import { summarizeCheck } from '../check/check-report.js';
import { cliRows } from '../options/options.js';
import { screenOf } from '../watch/screen.js';
import { readTyped } from './typed.js';
import type { Shell, Verb } from './verb.js';

const { json, askPassword } = cliRows;

const afterHelp = `
Every node is asked for itself: slots that no node owns or two claim, slots that are open, nodes that
do not agree, can't be reached, or have lost their master, and keys on nodes that do not own their slot.

--fix-keys moves such keys to the configured owner of their slot, and closes slots that were left open
without any. It gives no slot to another node, and stops at a key of which the owner has another value;
both are left as they are.

Examples:
  $ cluster-import check --to 10.0.1.1:7000
  $ cluster-import check --to 10.0.1.1:7000 --fix-keys --json

Exit codes: 0 sound; 1 not, or keys could not be moved to their owners; 2 wrong usage, or the cluster
can't be asked; 129, 130, 143 stopped by a signal.
`;

const groups = [
  { title: 'Common options', names: ['to', 'fixKeys', 'json', 'timeoutMs'] },
  {
    title: 'Passwords, TLS and addresses',
    names: ['askPassword', ...Object.keys(clusterAccessRows)],
  },
];

export const checkVerb: Verb = {
  name: 'check',
  description: 'Tells whether a cluster is sound, and moves stray keys to their owners.',
  usage: '--to <endpoint> [options]',
  rows: { ...checkRows, json, askPassword },
  groups,
  afterHelp,
  run,
};

async function run(typed: Readonly<Record<string, unknown>>, shell: Shell): Promise<number> {
  const { asJson, given, logger } = await readTyped(typed, shell);
  const stop = shell.catchSignals(() => {
    process.stderr.write('\nStopping after what is under way; once more to stop at once.\n');
  });
  const report = await runCheck(readCheckOptions(given), {
    signal: stop.signal,
    logger,
    stderr: process.stderr,
  });
  const { palette } = screenOf(process.stdout);
  process.stdout.write(asJson ? `${JSON.stringify(report)}\n` : summarizeCheck(report, palette));
  if (stop.exitCode !== undefined) return stop.exitCode;
  const { conflict, error } = report.fixed ?? {};
  return report.status === 'sound' && !conflict && error === undefined ? 0 : 1;
}
