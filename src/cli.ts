/**
 * The command line: flags to options, and exit codes. The only file that knows commander or the
 * environment; what the verbs do stands in `cli/`, one file each, and what becomes of signals and
 * streams in `cli/process.ts`.
 */
import { Command, CommanderError, Option } from 'commander';
import { assessVerb } from './cli/assess-verb.js';
import { checkVerb } from './cli/check-verb.js';
import { ctlVerb } from './cli/ctl-verb.js';
import { importVerb } from './cli/import-verb.js';
import {
  catchSignals,
  endOnUnexpectedErrors,
  leave,
  outliveStreams,
  stoppedWith,
} from './cli/process.js';
import type { Shell, Verb } from './cli/verb.js';
import { verifyVerb } from './cli/verify-verb.js';
import { exitCodeFor, messageOf, UsageError } from './errors.js';
import { version } from './installed.js';
import { flagName, type Row, type Rows } from './rows.js';

/** The table of verbs. The first is what is meant when none is named. */
const verbs: readonly [Verb, ...Verb[]] = [importVerb, assessVerb, verifyVerb, checkVerb, ctlVerb];

export async function main(argv: readonly string[]): Promise<void> {
  // What was typed may hold a password; from here on the process list does not show it.
  process.title = 'cluster-import';
  outliveStreams();
  endOnUnexpectedErrors(isDebugging());
  let exitCode: number;
  try {
    exitCode = await parse(argv);
  } catch (error) {
    exitCode = complain(error, argv);
  }
  // Whatever is still open has nothing more to say.
  process.stdout.write('', () => {
    leave(exitCode);
  });
}

async function parse(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command('cluster-import')
    .version(version)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  const [first, ...others] = verbs;
  const add = (verb: Verb): Command => addVerb(program, verb, (code) => (exitCode = code));
  const main = add(first);
  for (const verb of others) add(verb);
  // The first verb's help is the program's, with the others' names.
  program.helpInformation = () => main.helpInformation() + first.afterHelp + listed(others);
  await program.parseAsync([...argv]);
  return exitCode;
}

function addVerb(program: Command, verb: Verb, ended: (exitCode: number) => void): Command {
  const isDefault = verb === verbs[0];
  const name = isDefault ? `[${verb.name}]` : verb.name;
  const command = program
    .command(verb.name, { isDefault })
    .description(verb.description)
    .usage(verb.usage)
    .configureHelp({ commandUsage: () => `cluster-import ${name} ${verb.usage}` })
    .addHelpText('after', verb.afterHelp);
  for (const word of verb.words ?? []) command.argument(word.name, word.help);
  for (const row of Object.values(verb.rows)) {
    for (const option of optionsOf(row)) command.addOption(option);
  }
  const refuseBoth = contradictions(command, verb.rows);
  return command.action(async () => {
    refuseBoth();
    ended(await verb.run(valuesOf(verb.rows, command.opts()), shellOf(command.args)));
  });
}

function listed(others: readonly Verb[]): string {
  if (others.length === 0) return '';
  const lines = others.map(({ name, description }) => `  ${name.padEnd(8)}  ${description}`);
  return `\nOther verbs, each with a --help of its own:\n${lines.join('\n')}\n`;
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

/** Of a flag and its opposite the last one would win, in silence. */
function contradictions(command: Command, rows: Rows): () => void {
  const said = new Set<string>();
  const flags = Object.values(rows).flatMap((row) => (row.negated === undefined ? [] : [row]));
  for (const option of flags.flatMap(optionsOf)) {
    command.on(`option:${option.name()}`, () => said.add(option.long ?? ''));
  }
  return () => {
    for (const [flag = '', opposite = ''] of flags.map((row) => optionsOf(row).map(longOf))) {
      if (said.has(flag) && said.has(opposite)) {
        throw new UsageError(`${flag} and ${opposite} contradict one another: pass one of them.`);
      }
    }
  };
}

const longOf = ({ long }: Option): string => long ?? '';

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

function shellOf(words: readonly string[]): Shell {
  return { words, isDebugging: isDebugging(), catchSignals };
}

/** One sentence on standard error; never a stack trace, unless asked for. */
function complain(error: unknown, argv: readonly string[]): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  if (isDebugging()) console.error(error);
  const words = messageOf(error);
  if (error instanceof CommanderError) {
    const sentence = (unknownVerb(error, argv) ?? words)
      .replace(/^error: /, '')
      // What was meant for a flag that is not there may be a secret.
      .replace(/^(unknown option '[^'=]*)=.*'/s, "$1'")
      .replace(/\n+/g, ' ')
      .replace(/\.$/, '');
    const named = verbs.find(({ name }) => name === argv[2]);
    const program = named ? `cluster-import ${named.name}` : 'cluster-import';
    process.stderr.write(`cluster-import: ${sentence}; see ${program} --help\n`);
    return 2;
  }
  process.stderr.write(`cluster-import: ${words}\n`);
  return exitCodeFor(error, stoppedWith());
}

/** A word in the place of a verb; what looks like more than a word is not repeated. */
function unknownVerb({ code }: CommanderError, [, , word = '']: readonly string[]) {
  if (code !== 'commander.excessArguments' || !/^[a-z]{2,12}$/i.test(word)) return undefined;
  if (verbs.some(({ name }) => name === word)) return undefined;
  return `there is no verb "${word}", only ${verbs.map(({ name }) => name).join(', ')}`;
}

function isDebugging(): boolean {
  return process.env['CLUSTER_IMPORT_DEBUG'] === '1';
}
