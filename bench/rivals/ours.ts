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

/** The probe is a client that is at work at the source, and would be spared. */
const fullSpeed = ['--max-source-latency', 'off'];

/** As it is, with nothing said. */
export const sparing = ours('sparing', 'cluster-import, sparing the source', []);
export const relay = ours('relay', 'cluster-import, relay', ['--mover', 'relay', ...fullSpeed]);
export const migrate = ours('migrate', 'cluster-import, migrate', [
  ...['--mover', 'migrate'],
  ...fullSpeed,
]);
export const auto = ours('auto', 'cluster-import, auto', ['--mover', 'auto', ...fullSpeed]);
/** For sources that nobody writes to: what watching for writers costs is the difference to `relay`. */
export const unguarded = ours('relay-no-guard', 'cluster-import, relay --no-guard', [
  '--mover',
  'relay',
  '--no-guard',
  ...fullSpeed,
]);
