/** Completion scripts for shells, made from the table of verbs: they ask nobody while one types. */
import { type Flag, groupsOf, type Verb } from './verb.js';
import { UsageError } from '../errors.js';

export const shells = ['bash', 'zsh', 'fish'] as const;

/** Values that are files or folders; shells complete these themselves. */
const fileValues = /^<(file|path)>$/;
/** These may be files as well as addresses. */
const fileFlags = new Set(['--from']);

export function completionFor(shell: (typeof shells)[number], verbs: readonly Verb[]): string {
  return { bash, zsh, fish }[shell](verbs);
}

const flagsOfVerb = (verb: Verb): readonly Flag[] => groupsOf(verb).flatMap(({ flags }) => flags);

const takesFile = ({ name, value }: Flag): boolean =>
  fileFlags.has(name) || (value !== undefined && fileValues.test(value));

const unique = (words: readonly string[]): readonly string[] => [...new Set(words)];

const wordsOf = ({ words = [] }: Verb): readonly string[] =>
  words.flatMap(({ choices = [] }) => choices);

function bash(verbs: readonly Verb[]): string {
  const all = verbs.map((verb) => ({ verb, flags: flagsOfVerb(verb) }));
  const flags = all.flatMap((one) => one.flags);
  const files = unique(flags.filter(takesFile).map(({ name }) => name));
  const withChoices = flags.filter(({ choices }) => choices.length > 0);
  const choices = new Map(withChoices.map(({ name, choices }) => [name, choices.join(' ')]));
  const others = flags.filter((one) => one.value !== undefined && !takesFile(one));
  const values = unique(others.map(({ name }) => name).filter((name) => !choices.has(name)));
  const names = verbs.map(({ name }) => name);
  const first = all[0];
  return `# Completion of cluster-import for bash: source it, or put it into bash-completion's folder.
_cluster_import() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  local verb=\${COMP_WORDS[1]} words
  COMPREPLY=()
  case $before in
    ${files.join(' | ')})
      compopt -o filenames 2> /dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return
      ;;
${[...choices].map(([name, list]) => `    ${name})\n      mapfile -t COMPREPLY < <(compgen -W '${list}' -- "$word")\n      return\n      ;;\n`).join('')}    ${values.join(' | ')})
      return
      ;;
  esac
  case $verb in
${all
  .filter(({ verb }) => verb !== first?.verb)
  .map(
    ({ verb, flags: own }) =>
      `    ${verb.name}) words='${[...wordsOf(verb), ...own.map(({ name }) => name), '--help'].join(' ')}' ;;\n`,
  )
  .join(
    '',
  )}    *) words='${(first?.flags ?? []).map(({ name }) => name).join(' ')} --help --version' ;;
  esac
  if ((COMP_CWORD == 1)); then words="${names.join(' ')} completion $words"; fi
  if [[ $verb == completion ]]; then words='${shells.join(' ')}'; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _cluster_import cluster-import
`;
}

function zsh(verbs: readonly Verb[]): string {
  const [first, ...others] = verbs;
  const describe = (words: string): string => words.replace(/[[\]:\\]/g, '\\$&');
  const quote = (words: string): string => `'${words.replaceAll("'", `'\\''`)}'`;
  const spec = (one: Flag): string => {
    const action = takesFile(one)
      ? '_files'
      : one.choices.length > 0
        ? `(${one.choices.join(' ')})`
        : ' ';
    const value = one.value === undefined ? '' : `:${describe(one.value.slice(1, -1))}:${action}`;
    return quote(`${one.repeatable ? '*' : ''}${one.name}[${describe(one.help)}]${value}`);
  };
  const listed = (verb: Verb, ...more: readonly string[]): string =>
    [...flagsOfVerb(verb).map(spec), ...more].map((line) => `        ${line}`).join(' \\\n');
  const position = (verb: Verb): readonly string[] => {
    const words = wordsOf(verb);
    return words.length === 0 ? [] : [quote(`1:order:(${words.join(' ')})`)];
  };
  const named = verbs.map(
    ({ name, description }) => `    ${quote(`${name}:${describe(description)}`)}`,
  );
  return `#compdef cluster-import
# Completion of cluster-import for zsh: put it into a folder of $fpath, as _cluster-import.
_cluster_import() {
  local -a verbs
  verbs=(
${named.join('\n')}
    'completion:Prints the completion script of a shell.'
  )
  if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then
    _describe verb verbs
    return
  fi
  case $words[2] in
${others
  .map(
    (verb) => `    ${verb.name})
      shift words
      ((CURRENT--))
      _arguments -s \\
${listed(verb, ...position(verb), quote('--help[show the help]'))}
      ;;
`,
  )
  .join('')}    completion)
      _values shell ${shells.join(' ')}
      ;;
    *)
      if [[ $words[2] == import ]]; then
        shift words
        ((CURRENT--))
      fi
      _arguments -s \\
${first ? listed(first, quote('--help[show the help]'), quote('--version[show the version]')) : ''}
      ;;
  esac
}
if [ "$funcstack[1]" = "_cluster-import" ]; then
  _cluster_import "$@"
else
  compdef _cluster_import cluster-import
fi
`;
}

function fish(verbs: readonly Verb[]): string {
  const [first] = verbs;
  const quote = (words: string): string => `'${words.replace(/['\\]/g, '\\$&')}'`;
  const names = [...verbs.slice(1).map(({ name }) => name), 'completion'].join(' ');
  const isFirst = `'not __fish_seen_subcommand_from ${names}'`;
  const condition = (verb: Verb): string =>
    verb === first ? isFirst : `'__fish_seen_subcommand_from ${verb.name}'`;
  const lines = verbs.flatMap((verb) => [
    `complete -c cluster-import -n __fish_use_subcommand -a ${verb.name} -d ${quote(verb.description)}`,
    ...wordsOf(verb).map((word) => `complete -c cluster-import -n ${condition(verb)} -a ${word}`),
    ...flagsOfVerb(verb).map((one) => {
      const choices = one.choices.length > 0 ? ` -a ${quote(one.choices.join(' '))}` : '';
      const value = one.value === undefined ? '' : takesFile(one) ? ' -r -F' : ` -x${choices}`;
      return `complete -c cluster-import -n ${condition(verb)} -l ${one.name.slice(2)}${value} -d ${quote(one.help)}`;
    }),
    `complete -c cluster-import -n ${condition(verb)} -l help -d 'show the help'`,
  ]);
  return `# Completion of cluster-import for fish: put it into ~/.config/fish/completions/.
complete -c cluster-import -f
${lines.join('\n')}
complete -c cluster-import -n __fish_use_subcommand -l version -d 'show the version'
complete -c cluster-import -n __fish_use_subcommand -a completion -d 'Prints the completion script of a shell.'
complete -c cluster-import -n '__fish_seen_subcommand_from completion' -a ${quote(shells.join(' '))}
`;
}

/* `cluster-import completion`: prints what a shell needs to complete the command line. */

const afterHelp = `
Examples:
  $ cluster-import completion bash > ~/.local/share/bash-completion/completions/cluster-import
  $ cluster-import completion zsh > ~/.zsh/completions/_cluster-import
  $ cluster-import completion fish > ~/.config/fish/completions/cluster-import.fish

For zsh, the folder must be in $fpath before compinit runs.

Exit codes: 0 done; 2 wrong usage.
`;

/** @param verbs the other verbs, whose flags and words are completed. */
export function completionVerb(verbs: readonly Verb[]): Verb {
  return {
    name: 'completion',
    description: 'Prints the completion script of a shell.',
    usage: `<${shells.join('|')}>`,
    rows: {},
    groups: [],
    words: [{ name: '[shell]', help: 'the shell', choices: shells }],
    afterHelp,
    run: (_, { words }) => {
      const [name, more] = words;
      const shell = shells.find((one) => one === name);
      if (shell === undefined || more !== undefined) {
        const last = `${shells.slice(0, -1).join(', ')} or ${shells.at(-1) ?? ''}`;
        throw new UsageError(`completion takes the name of one shell: ${last}.`);
      }
      process.stdout.write(completionFor(shell, verbs));
      return Promise.resolve(0);
    },
  };
}
