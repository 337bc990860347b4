/** This tool, by each of its movers, as people run it. */
import { execFileSync } from 'node:child_process';
import { program } from '../../test/support/cli.js';
import type { Rival } from '../types.js';

function ours(name: string, title: string, flags: readonly string[]): Rival {
  return {
    name,
    title,
    isSlow: false,
    isQuick: name === 'relay' || name === 'migrate',
    keysEnd: 'in the cluster',
    missing() {
      const absent = flags.find((flag) => flag.startsWith('--') && !help().includes(flag));
      return absent === undefined ? undefined : `this build has no ${absent}`;
    },
    prepare: ({ from, to }) =>
      Promise.resolve({
        program: process.execPath,
        args: [program, '--from', from, '--to', to, '--quiet', '--json', ...flags],
      }),
  };
}

let helpText: string | undefined;
function help(): string {
  helpText ??= execFileSync(process.execPath, [program, '--help'], { encoding: 'utf8' });
  return helpText;
}

export const relay = ours('relay', 'cluster-import, relay', ['--mover', 'relay']);
export const migrate = ours('migrate', 'cluster-import, migrate', ['--mover', 'migrate']);
export const auto = ours('auto', 'cluster-import, auto', ['--mover', 'auto']);
/** For sources that nobody writes to: what watching for writers costs is the difference to `relay`. */
export const unguarded = ours('relay-no-guard', 'cluster-import, relay --no-guard', [
  '--mover',
  'relay',
  '--no-guard',
]);
