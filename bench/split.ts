/**
 * `npm run bench -- split [keys] [rounds]`: what `--split-above` costs an import that has no large value at
 * all: it asks for the size of each key. Runs with and without take turns.
 */
import { mix } from './datasets/mix.js';
import { strings64 } from './datasets/strings.js';
import { withArena } from './lab/arena.js';
import { type Compared, costOf } from './lab/compared.js';
import { program } from '../test/support/cli.js';
import type { Benchmark } from './types.js';

export const split: Benchmark = {
  usage: '[keys] [rounds]   (1000000 and 7 if not given)',
  run: ([keys = '1000000', rounds = '7']) => measureSplit(Number(keys), Number(rounds)),
};

const way = (title: string, ...more: string[]): Compared => ({
  title,
  prepare: ({ from, to }) =>
    Promise.resolve({
      program: process.execPath,
      args: [program, '--from', from, '--to', to, '--mover', 'relay', '--quiet', '--json', ...more],
    }),
});

async function measureSplit(keys: number, rounds: number): Promise<void> {
  await withArena(async (arena) => {
    for (const dataset of [strings64, mix]) {
      console.log(`\n${dataset.name}, ${keys.toLocaleString('en')} keys`);
      const without = way('without');
      const withIt = way('--split-above 64mb', '--split-above', '64mb');
      await costOf(arena, { dataset, keys, rounds, without, withIt });
    }
  });
}
