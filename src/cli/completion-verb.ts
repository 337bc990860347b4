/** `cluster-import completion`: prints what a shell needs to complete the command line. */
import { UsageError } from '../errors.js';
import { completionFor, shells } from './completion.js';
import type { Verb } from './verb.js';

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
