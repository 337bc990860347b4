/**
 * `npm run bench:micro`: the data plane alone, frames in and frames out, without a server.
 *
 * Time differs from run to run; the number of instructions hardly does, so a regression shows in it on
 * the noisiest machine. They are counted for N and for 2 N keys: the difference is what N keys take,
 * without Node's start and the compiler's work. `npm run bench:micro -- <case>` runs one case.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { median } from '../lab/medians.js';
import { machineLine, describeMachine } from '../report/machine.js';
import { saveResult } from '../report/results.js';
import { short, table } from '../report/table.js';
import { cases } from './cases.js';

const keys = 512_000;
const largeKeys = 25_600;
const rounds = 5;
const program = fileURLToPath(new URL('case-process.ts', import.meta.url));

const machine = describeMachine();
console.log(machineLine(machine));
const [only] = process.argv.slice(2);
const counts = canCount();
if (!counts) {
  console.log('Instructions are not counted: "perf stat -e instructions:u" does not work here.');
}
const measured = Object.keys(cases)
  .filter((name) => only === undefined || name === only)
  .map((name) => measure(name, name.includes('KB') ? largeKeys : keys));
const rows = measured.map((one) => [one.name, short(one.nsPerKey), short(one.instructionsPerKey)]);
console.log(`\n${table(['data plane', 'ns a key', 'instructions a key'], rows)}`);
if (only === undefined) {
  const result = { measuredAt: new Date().toISOString(), quick: false, machine, measured };
  const folder = fileURLToPath(new URL('../results', import.meta.url));
  console.log(`Written: ${saveResult(folder, 'micro', result)}`);
}

interface Measured {
  readonly name: string;
  readonly nsPerKey: number;
  readonly instructionsPerKey: number | undefined;
}

function measure(name: string, count: number): Measured {
  const nsPerKey = median(Array.from({ length: rounds }, () => Number(once(name, count, count))));
  if (!counts) return { name, nsPerKey, instructionsPerKey: undefined };
  const differences = Array.from({ length: rounds }, () => {
    return instructions(name, 2 * count, 2 * count) - instructions(name, count, 2 * count);
  });
  return { name, nsPerKey, instructionsPerKey: median(differences) / count };
}

function once(name: string, count: number, most: number): string {
  return execFileSync(process.execPath, words(name, count, most), { encoding: 'utf8' });
}

function words(name: string, count: number, most: number): string[] {
  return ['--import', 'tsx', program, name, String(count), String(most)];
}

/** Of the process, by the processor's own count, its own code only. */
function instructions(name: string, count: number, most: number): number {
  // The accounts go to standard error, so that nothing of the program's mixes with them: it says nothing there.
  const script = 'exec perf stat -x, -e instructions:u -- "$@" 2>&1 >/dev/null';
  const args = ['-c', script, 'sh', process.execPath, ...words(name, count, most)];
  return Number(/^(\d+),/m.exec(execFileSync('sh', args, { encoding: 'utf8' }))?.[1] ?? NaN);
}

function canCount(): boolean {
  try {
    const script = 'perf stat -x, -e instructions:u -- true 2>&1';
    return /^\d+,/m.test(execFileSync('sh', ['-c', script], { encoding: 'utf8' }));
  } catch {
    return false;
  }
}
