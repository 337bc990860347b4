/** docs/options.md, from the table of verbs: what `--help` has, as one page. */
import { type Flag, groupsOf, type Verb } from '../../src/cli/verb.js';
import { environment, forms } from './words.js';

/** Where there is more about a verb. */
const pages: Readonly<Record<string, string>> = {
  import: 'moving.md',
  assess: 'assess.md',
  verify: 'verify.md',
  check: 'check.md',
  ctl: 'operations.md#steering-a-run-ctl',
};

export function optionsPage(verbs: readonly Verb[]): string {
  return [
    '# Options',
    '<!-- Written by `npm run reference` from the table in src/cli/verbs.ts: change that, not this. -->',
    'Every verb and every option, as `cluster-import --help` and `cluster-import <verb> --help` list them.',
    forms.map(({ title, text }) => `- **${title}** ${text}`).join('\n'),
    ...verbs.flatMap((verb, index) => verbSection(verb, index === 0)),
    '## Environment',
    table(
      ['variable', 'meaning'],
      environment(verbs).map(({ name, help }) => [`\`${name}\``, help]),
    ),
  ]
    .join('\n\n')
    .concat('\n');
}

function verbSection(verb: Verb, isDefault: boolean): readonly string[] {
  const page = pages[verb.name];
  return [
    `## ${verb.name}`,
    `\`\`\`sh usage\ncluster-import ${isDefault ? '' : `${verb.name} `}${verb.usage}\n\`\`\``,
    [
      verb.description,
      ...(isDefault ? ['This verb may be left out.'] : []),
      ...(page === undefined ? [] : [`See [${page.replace(/#.*/, '')}](${page}).`]),
    ].join(' '),
    ...(verb.words ?? []).flatMap(({ name, choices = [] }) =>
      choices.length === 0
        ? []
        : [`\`${name}\` is one of ${choices.map((one) => `\`${one}\``).join(', ')}.`],
    ),
    ...groupsOf(verb).flatMap(({ title, flags }) => [
      `### ${verb.name}: ${title.toLowerCase().replace('tls', 'TLS')}`,
      table(['option', 'meaning'], flags.map(flagRow)),
    ]),
  ];
}

function flagRow({ name, value, help, repeatable }: Flag): readonly string[] {
  const repeat = repeatable && !help.includes('repeated') ? '; may be repeated' : '';
  return [`\`${name}${value === undefined ? '' : ` ${value}`}\``, help + repeat];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
