/** `npm run fuzz -- --inputs 1000000 --seed 1`: prints what became of the inputs, or the one that failed. */
import { parseArgs } from 'node:util';
import { fuzz } from './run.js';

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    from: { type: 'string', default: '0' },
    'memory-mb': { type: 'string', default: '300' },
  },
});
const startedMs = performance.now();
try {
  const { endings, peakBytes } = await fuzz({
    seed: Number(values.seed),
    from: Number(values.from),
    inputs: Number(values.inputs),
    limitBytes: Number(values['memory-mb']) * 1e6,
    hangMs: 10_000,
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
  console.log(`seed ${values.seed}, ${seconds} s, at most ${megabytes} MB of memory, none failed`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
