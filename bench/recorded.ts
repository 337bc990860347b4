/** Benchmarks that are measured by the same options, and whose figures are kept as files. */
import { type BenchOptions, readBenchOptions, usage } from './options.js';
import { describeMachine, machineLine } from './report/machine.js';
import type { Circumstances } from './report/results.js';
import type { Benchmark } from './types.js';

/** Measures, and names the files that it wrote. */
type Measure = (options: BenchOptions, circumstances: Circumstances) => Promise<readonly string[]>;

export function recorded(measure: Measure): Benchmark {
  return {
    usage,
    async run(args) {
      const options = readBenchOptions(args);
      const machine = describeMachine();
      const { quick } = options;
      console.log(machineLine(machine));
      const circumstances = { measuredAt: new Date().toISOString(), quick, machine };
      for (const path of await measure(options, circumstances)) console.log(`Written: ${path}`);
    },
  };
}
