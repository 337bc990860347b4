/** man/cluster-import.1, from the table of verbs. */
import { type Flag, groupsOf, type Verb } from '../../src/cli/verb.js';
import { environment, exitCodes, forms } from './words.js';

export function manPage(verbs: readonly [Verb, ...Verb[]], version: string): string {
  const [first, ...others] = verbs;
  return [
    '.\\" Written by `npm run reference` from the table in src/cli/verbs.ts: change that, not this.',
    `.TH CLUSTER\\-IMPORT 1 "" "cluster\\-import ${version}" "User Commands"`,
    '.SH NAME',
    'cluster\\-import \\- move a running Redis into a Redis Cluster',
    '.SH SYNOPSIS',
    ...verbs.flatMap((verb) => [
      ...(verb === first ? [] : ['.br']),
      `.B cluster\\-import${verb === first ? '' : ` ${verb.name}`}`,
      escape(verb.usage),
    ]),
    '.SH DESCRIPTION',
    escape(
      `${first.description} Keys are deleted at the source as they arrive, unless --copy or --follow is passed. ` +
        'A run that was stopped goes on when the same command is given again.',
    ),
    ...others.flatMap(({ name, description }) => [
      '.TP',
      `.B ${escape(name)}`,
      escape(description),
    ]),
    ...forms.flatMap(({ title, text }) => ['.PP', escape(`${title} ${text.replaceAll('`', '')}`)]),
    ...verbs.flatMap((verb) => [
      `.SH "OPTIONS OF ${verb.name.toUpperCase()}"`,
      ...(verb.words ?? []).flatMap(({ name, help, choices }) => [
        '.TP',
        `.I ${escape(name)}`,
        escape(choices ? `${help}: ${choices.join(', ')}` : help),
      ]),
      ...groupsOf(verb).flatMap(({ title, flags }) => [
        `.SS "${escape(title)}"`,
        ...flags.flatMap(flagLines),
      ]),
    ]),
    '.SH "EXIT STATUS"',
    'Those of an import; those of the other verbs stand in their help.',
    ...exitCodes.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, escape(meaning)]),
    '.SH ENVIRONMENT',
    ...environment(verbs).flatMap(({ name, help }) => [
      '.TP',
      `.B ${escape(name)}`,
      escape(help.replaceAll('`', '')),
    ]),
    '.SH "SEE ALSO"',
    '.BR redis\\-cli (1)',
  ]
    .join('\n')
    .concat('\n');
}

function flagLines({ name, value, help }: Flag): readonly string[] {
  const given = value === undefined ? '' : ` ${value}`;
  return ['.TP', `.B ${escape(`${name}${given}`)}`, escape(help)];
}

/** Hyphens that are typed must not become others, and a line must not begin like a request. */
function escape(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/, '\\&$1');
}
