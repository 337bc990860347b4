/**
 * `npm run bench`: this tool beside what people would use instead, on the same machine in the same
 * minutes. Absolute numbers differ between machines and hours; the ratios within a run hold.
 */
import { measureContests } from './contests.js';
import { measureDistance } from './distance.js';
import { measureMemory } from './memory.js';
import { type BenchOptions, readBenchOptions, usage } from './options.js';
import { describeMachine, machineLine } from './report/machine.js';
import type { Circumstances } from './report/results.js';

async function main(options: BenchOptions): Promise<void> {
  if (options.mode === 'help') {
    console.log(usage);
    return;
  }
  const machine = describeMachine();
  const circumstances: Circumstances = {
    measuredAt: new Date().toISOString(),
    quick: options.quick,
    machine,
  };
  console.log(machineLine(machine));
  const measure = {
    contest: measureContests,
    memory: measureMemory,
    distance: measureDistance,
  }[options.mode];
  for (const path of await measure(options, circumstances)) console.log(`Written: ${path}`);
}

try {
  await main(readBenchOptions(process.argv.slice(2)));
  process.exit();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
