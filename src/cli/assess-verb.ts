/** `cluster-import assess`: whether an application and its data can move, as text or JSON. */
import { accessRows } from '../options/access.js';
import { runAssess } from '../commands/assess.js';
import { assessRows, readAssessOptions } from '../options/verb-options.js';
import { summarizeAssess } from '../assess/sections.js';
import { cliRows } from '../options/options.js';
import { screenOf } from '../watch/screen.js';
import { readTyped } from './typed.js';
import type { Shell, Verb } from './verb.js';

const { json, askPassword } = cliRows;

const afterHelp = `
A cluster runs a command, a transaction or a script only if all its keys are of one slot. Case 1: the
application uses one key at a time. Case 2: several, which share a hash tag. Case 3: several without
one; that has to change before it can move. --watch sees which, and says for each pattern what to do.

Examples:
  $ cluster-import assess --from 10.0.0.5:6379 --to 10.0.1.1:7000
  $ cluster-import assess --from 10.0.0.5:6379 --watch 60s --html assessment.html

Exit codes: 0 can move; 1 can't as it is, or what was seen is not enough to say; 2 wrong usage, or a
server can't be asked. Ctrl-C ends the watching early, and reports.
`;

const groups = [
  { title: 'Common options', names: ['from', 'to', 'watchMs', 'html', 'json'] },
  { title: 'Limits', names: ['match', 'watchLimit', 'watchLatencyMs', 'sample', 'timeoutMs'] },
  { title: 'Passwords, TLS and addresses', names: ['askPassword', ...Object.keys(accessRows)] },
];

export const assessVerb: Verb = {
  name: 'assess',
  description: 'Tells whether an application and its data can live in a cluster.',
  usage: '--from <endpoint> [--to <endpoint>] [--watch 60s] [options]',
  rows: { ...assessRows, json, askPassword },
  groups,
  afterHelp,
  run,
};

async function run(typed: Readonly<Record<string, unknown>>, shell: Shell): Promise<number> {
  const { asJson, given, logger } = await readTyped(typed, shell);
  const stop = shell.catchSignals(() => undefined);
  const report = await runAssess(readAssessOptions(given), {
    signal: stop.signal,
    logger,
    onWatch: (sentence) => process.stderr.write(`${sentence}\n`),
  });
  // The terminal has shown the ^C that ended the watch.
  if (stop.signal.aborted && process.stderr.isTTY) process.stderr.write('\n');
  const { palette, isTerminal, columns } = screenOf(process.stdout);
  const width = isTerminal ? columns : undefined;
  process.stdout.write(
    asJson ? `${JSON.stringify(report)}\n` : summarizeAssess(report, palette, width),
  );
  return report.status === 'can-move' ? 0 : 1;
}
