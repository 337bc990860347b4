/** The command line of the fuzzers: what became of the inputs as a table, or the one that failed. */
import { parseArgs } from 'node:util';
import { fuzz, type Program } from './run.js';

/** What a fuzzer is run with unless it is told otherwise. */
export interface Defaults {
  readonly inputs: number;
  readonly memoryMb: number;
}

export async function runFuzzer(program: Program, { inputs, memoryMb }: Defaults): Promise<void> {
  const { values } = parseArgs({
    options: {
      inputs: { type: 'string', default: String(inputs) },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      from: { type: 'string', default: '0' },
      only: { type: 'string', default: '' },
      'memory-mb': { type: 'string', default: String(memoryMb) },
    },
  });
  const startedMs = performance.now();
  try {
    const { endings, peakBytes } = await fuzz(program, {
      seed: Number(values.seed),
      from: Number(values.from),
      only: values.only,
      inputs: Number(values.inputs),
      limitBytes: Number(values['memory-mb']) * 1e6,
      hangMs: 30_000,
    });
    const rows = Object.entries(endings).sort(([one], [other]) => one.localeCompare(other));
    const sum = (ending: 'done' | 'waiting' | 'refused'): number =>
      rows.reduce((count, [, counts]) => count + counts[ending], 0);
    const all = { done: sum('done'), waiting: sum('waiting'), refused: sum('refused') };
    console.table(
      Object.fromEntries(
        [...rows, ['all', all] as const].map(([name, { done, waiting, refused }]) => [
          name,
          {
            inputs: done + waiting + refused,
            accepted: done,
            incomplete: waiting,
            rejected: refused,
          },
        ]),
      ),
    );
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const megabytes = (peakBytes / 1e6).toFixed(0);
    console.log(
      `seed ${values.seed}, ${seconds} s, at most ${megabytes} MB of memory, none failed`,
    );
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
