/**
 * `npm run bench -- micro`: the data plane alone, frames in and frames out, without a server.
 *
 * Time differs from run to run; the number of instructions hardly does, so a regression shows in it on
 * the noisiest machine. They are counted for N and for 2 N keys: the difference is what N keys take,
 * without Node's start and the compiler's work. `npm run bench -- micro <case>` runs one case.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { median } from '../lab/medians.js';
import { machineLine, describeMachine } from '../report/machine.js';
import { saveResult } from '../report/results.js';
import { short, table } from '../report/table.js';
import { cases } from './cases.js';
import type { Benchmark } from '../types.js';
import { type Counter, findCounter } from './instructions.js';

const keys = 512_000;
const largeKeys = 25_600;
const rounds = 5;
const program = fileURLToPath(new URL('case-process.ts', import.meta.url));

interface Measured {
  readonly name: string;
  readonly nsPerKey: number;
  readonly instructionsPerKey: number | undefined;
}

export const micro: Benchmark = {
  usage: '[case]',
  run([only]) {
    measureCases(only);
    return Promise.resolve();
  },
};

function measureCases(only: string | undefined): void {
  const machine = describeMachine();
  console.log(machineLine(machine));
  const counter = findCounter();
  console.log(
    counter
      ? `Instructions are counted by ${counter.name}.`
      : 'Instructions are not counted: neither "perf stat -e instructions:u" nor valgrind works here.',
  );
  const measured = Object.keys(cases)
    .filter((name) => only === undefined || name === only)
    .map((name) => measure(counter, name, name.includes('KB') ? largeKeys : keys));
  const rows = measured.map((one) => [
    one.name,
    short(one.nsPerKey),
    short(one.instructionsPerKey),
  ]);
  console.log(`\n${table(['data plane', 'ns a key', 'instructions a key'], rows)}`);
  if (only === undefined) {
    const countedBy = counter?.name;
    const circumstances = { measuredAt: new Date().toISOString(), quick: false, machine };
    const result = { ...circumstances, countedBy, measured };
    const folder = fileURLToPath(new URL('../results', import.meta.url));
    console.log(`Written: ${saveResult(folder, 'micro', result)}`);
  }
}

function measure(counter: Counter | undefined, name: string, count: number): Measured {
  const nsPerKey = median(Array.from({ length: rounds }, () => Number(once(name, count, count))));
  if (!counter) return { name, nsPerKey, instructionsPerKey: undefined };
  const some = count * counter.share;
  const instructions = (of: number): number => counter.count(words(name, of, 2 * some));
  const times = counter.isExact ? 1 : rounds;
  const differences = Array.from(
    { length: times },
    () => instructions(2 * some) - instructions(some),
  );
  return { name, nsPerKey, instructionsPerKey: median(differences) / some };
}

function once(name: string, count: number, most: number): string {
  return execFileSync(process.execPath, words(name, count, most), { encoding: 'utf8' });
}

function words(name: string, count: number, most: number): string[] {
  return ['--import', 'tsx', program, name, String(count), String(most)];
}
