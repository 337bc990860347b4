/**
 * The command line: flags to options, and exit codes. The only file that knows commander or the
 * environment; what the verbs do stands in `cli/`, one file each, and what becomes of signals and
 * streams in `cli/process.ts`.
 */
import { Command, CommanderError, Option } from 'commander';
import { type Flag, flagsOf, groupsOf, printRefusal, type Shell, type Verb } from './cli/verb.js';
import {
  catchSignals,
  endOnUnexpectedErrors,
  leave,
  outliveStreams,
  stoppedWith,
} from './cli/process.js';
import { verbs } from './cli/verbs.js';
import { exitCodeFor, messageOf, UsageError } from './errors.js';
import { version } from './installed.js';
import { nearest, type Rows } from './options/rows.js';

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
  main.version(version);
  // The first verb's help is the program's, with the others' names on top.
  program.helpInformation = () => {
    main.description(`${first.description}\n\n${listed(others, main)}`);
    return main.helpInformation() + first.afterHelp;
  };
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
  for (const { title, flags } of groupsOf(verb)) {
    for (const flag of flags) command.addOption(optionOf(flag).helpGroup(`${title}:`));
  }
  const refuseBoth = contradictions(command, verb.rows);
  return command.action(async () => {
    refuseBoth();
    ended(await verb.run(valuesOf(verb.rows, command.opts()), shellOf(command.args)));
  });
}

function listed(others: readonly Verb[], main: Command): string {
  const help = main.createHelp();
  // As wide as what commander makes of the flags.
  if (process.stdout.isTTY) help.prepareContext({ helpWidth: process.stdout.columns });
  const nameWidth = Math.max(...others.map(({ name }) => name.length));
  const lines = others.map(({ name, description }) =>
    help.formatItem(name, nameWidth, description, help),
  );
  return `Other verbs, each with a --help of its own:\n${lines.join('\n')}`;
}

function optionOf({ name, value, help, repeatable }: Flag): Option {
  const option = new Option(value === undefined ? name : `${name} ${value}`, help);
  return repeatable ? option.argParser(gather) : option;
}

/** Of a flag and its opposite the last one would win, in silence. */
function contradictions(command: Command, rows: Rows): () => void {
  const said = new Set<string>();
  const withOpposite = Object.values(rows).filter(({ negated }) => negated !== undefined);
  const pairs = withOpposite.map((row) => flagsOf(row).map(({ name }) => name));
  for (const name of pairs.flat()) command.on(`option:${name.slice(2)}`, () => said.add(name));
  return () => {
    for (const [flag = '', opposite = ''] of pairs) {
      if (said.has(flag) && said.has(opposite)) {
        throw new UsageError(`${flag} and ${opposite} contradict one another: pass one of them.`);
      }
    }
  };
}

/** A flag that stands several times gives all its values. */
function gather(value: string, before: unknown): string[] {
  return [...(Array.isArray(before) ? (before as string[]) : []), value];
}

/** The values of a table's rows: from the flags, and secrets from the environment. */
function valuesOf(rows: Rows, flags: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const values = Object.entries(rows).map(([name, row]) => {
    const [flag] = flagsOf(row);
    return [name, flag ? flags[optionOf(flag).attributeName()] : process.env[row.env ?? '']];
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
  const exitCode = error instanceof CommanderError ? 2 : exitCodeFor(error, stoppedWith());
  const words = sentenceOf(error, argv);
  process.stderr.write(`cluster-import: ${words}\n`);
  if (argv.includes('--json')) printRefusal(words, exitCode);
  return exitCode;
}

/** What was typed can't be done, or came to nothing: in words of one line. */
function sentenceOf(error: unknown, argv: readonly string[]): string {
  const words = messageOf(error);
  if (argv.length <= 2) {
    return 'pass --from <endpoint> and --to <endpoint>, or a verb; see cluster-import --help';
  }
  if (error instanceof CommanderError) {
    const sentence = (
      unknownVerb(error, argv) ??
      withoutFlags(error, argv) ??
      versionMeant(error) ??
      words
    )
      .replace(/^error: /, '')
      // What was meant for a flag that is not there may be a secret.
      .replace(/^(unknown option '[^'=]*)=.*'/s, "$1'")
      .replace(/\n+/g, ' ')
      .replace(/\.$/, '');
    const named = verbs.find(({ name }) => name === argv[2]);
    const program = named ? `cluster-import ${named.name}` : 'cluster-import';
    return `${sentence}${sentence.endsWith('?') ? ' See' : '; see'} ${program} --help`;
  }
  return words;
}

/** A word in the place of a verb; what looks like more than a word is not repeated. */
function unknownVerb({ code }: CommanderError, [, , word = '']: readonly string[]) {
  if (code !== 'commander.excessArguments' || !/^[a-z]{2,12}$/i.test(word)) return undefined;
  if (verbs.some(({ name }) => name === word)) return undefined;
  const names = verbs.map(({ name }) => name);
  const meant = nearest(word, names);
  const hint = meant === undefined ? `only ${names.join(', ')}` : `did you mean ${meant}?`;
  return `there is no verb "${word}", ${hint}`;
}

/** Other programs tell their version, or more, by it. */
function versionMeant({ code, message }: CommanderError): string | undefined {
  if (code !== 'commander.unknownOption' || !message.includes("'-v'")) return undefined;
  return "unknown option '-v': cluster-import -V, or --version, tells the version";
}

/** Endpoints as they are for other tools: they may hold passwords, and are repeated only without. */
function withoutFlags({ code }: CommanderError, [, , ...typed]: readonly string[]) {
  const named = verbs.find(({ name }) => name === typed[0]);
  const words = named ? typed.slice(1) : typed;
  const flags = (named ?? verbs[0]).usage.match(/--\w+(?= <endpoint>)/g) ?? [];
  if (code !== 'commander.excessArguments' || words.length > flags.length) return undefined;
  const isPlain =
    words.length === flags.length && words.every((word) => /^[\w.-]+:\d+$/.test(word));
  const pairs = flags.map((flag, at) => `${flag} ${isPlain ? (words[at] ?? '') : '<endpoint>'}`);
  return `endpoints have flags: write ${pairs.join(' ')}`;
}

function isDebugging(): boolean {
  return process.env['CLUSTER_IMPORT_DEBUG'] === '1';
}
