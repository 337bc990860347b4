/**
 * `npm run bench:split -- [keys] [rounds]`: what `--split-above` costs an import that has no large value at
 * all: it asks for the size of each key. Runs with and without take turns.
 */
import { mix } from './datasets/mix.js';
import { strings64 } from './datasets/strings.js';
import { withArena } from './lab/arena.js';
import { type Compared, costOf } from './lab/compared.js';
import { program } from '../test/support/cli.js';

const [givenKeys = '1000000', givenRounds = '7'] = process.argv.slice(2);
const [keys, rounds] = [Number(givenKeys), Number(givenRounds)];

const way = (title: string, ...more: string[]): Compared => ({
  title,
  prepare: ({ from, to }) =>
    Promise.resolve({
      program: process.execPath,
      args: [program, '--from', from, '--to', to, '--mover', 'relay', '--quiet', '--json', ...more],
    }),
});

await withArena(async (arena) => {
  for (const dataset of [strings64, mix]) {
    console.log(`\n${dataset.name}, ${keys.toLocaleString('en')} keys`);
    const without = way('without');
    const withIt = way('--split-above 64mb', '--split-above', '64mb');
    await costOf(arena, { dataset, keys, rounds, without, withIt });
  }
});
process.exit();
