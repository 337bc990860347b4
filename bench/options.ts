/** The options of the benchmarks whose figures are kept: rates, memory and distance. */
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { datasets } from './datasets/all.js';
import { rivals } from './rivals/all.js';
import type { Dataset, Rival } from './types.js';

export const usage = `[options]

  --quick            small datasets, fewer rivals: under two minutes, and only roughly right
  --only <dataset>   ${datasets.map(({ name }) => name).join(', ')}
  --rivals <a,b>     ${rivals.map(({ name }) => name).join(', ')}
  --rounds <n>       how many rounds count (default: 3; with --quick: 1)
  --results <dir>    where results go (default: bench/results; with --quick: .cache/bench)

RedisShake takes part when REDIS_SHAKE names its program.`;

export interface BenchOptions {
  readonly quick: boolean;
  readonly datasets: readonly Dataset[];
  /** Undefined: those that suit the benchmark. */
  readonly rivals: readonly Rival[] | undefined;
  readonly rounds: number;
  readonly results: string;
}

/** @throws Error with one plain sentence. */
export function readBenchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      rivals: { type: 'string' },
      rounds: { type: 'string' },
      results: { type: 'string' },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds must be 1 or more.');
  const folder = values.quick ? '../.cache/bench' : 'results';
  return {
    quick: values.quick,
    datasets: values.only === undefined ? datasets : chosen('--only', values.only, datasets),
    rivals: values.rivals === undefined ? undefined : chosen('--rivals', values.rivals, rivals),
    rounds,
    results: values.results ?? fileURLToPath(new URL(folder, import.meta.url)),
  };
}

/** Those of the known ones that are named. @throws Error with one plain sentence. */
export function chosen<T extends { readonly name: string }>(
  flag: string,
  names: string,
  known: readonly T[],
): readonly T[] {
  return names.split(',').map((name) => {
    const found = known.find((one) => one.name === name);
    if (found) return found;
    const all = known.map((one) => one.name).join(', ');
    throw new Error(`${flag} knows no ${name}: there are ${all}.`);
  });
}
