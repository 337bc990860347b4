/** `npm run bench`, or `npm run bench -- rates`: every dataset moved by every rival, as tables, files and a chart. */
import { datasets as allDatasets } from './datasets/all.js';
import { withArena } from './lab/arena.js';
import { contest, measureStartUp } from './lab/rounds.js';
import { say } from './lab/say.js';
import { standingsOf } from './lab/standings.js';
import type { BenchOptions } from './options.js';
import { recorded } from './recorded.js';
import { throughputChart } from './report/chart.js';
import { contestTable } from './report/contest-table.js';
import { type Circumstances, loadContest, saveResult, saveText } from './report/results.js';
import { rivals as allRivals } from './rivals/all.js';
import type { Arena, Rival, StartUp } from './types.js';

/** `--quick` begins no dataset later than this. */
const quickSeconds = 95;

export const rates = recorded(measureContests);

/** @returns the files it wrote. */
function measureContests(
  options: BenchOptions,
  circumstances: Circumstances,
): Promise<readonly string[]> {
  const { quick, rounds, results } = options;
  const startedMs = performance.now();
  return withArena(async (arena) => {
    const rivals = present(options.rivals ?? allRivals.filter((rival) => !quick || rival.isQuick));
    const startUps = await startUpsOf(arena, rivals, options);
    const paths: string[] = [];
    for (const dataset of options.datasets) {
      if (quick && performance.now() - startedMs > quickSeconds * 1000) {
        say(`${dataset.name}: left out, two minutes are nearly over`);
        continue;
      }
      const records = await contest(arena, { dataset, rivals, rounds, quick, startUps });
      const standings = standingsOf(dataset, records);
      console.log(contestTable(dataset, standings));
      const { name, title } = dataset;
      const result = { ...circumstances, dataset: name, title, rounds, standings };
      paths.push(saveResult(results, name, result));
    }
    // Drawn from all files there are, so that one dataset can be measured again alone.
    const contests = allDatasets.flatMap((dataset) => loadContest(results, dataset.name) ?? []);
    const chart = throughputChart(contests);
    if (chart !== undefined) paths.push(saveText(results, 'throughput.svg', chart));
    return paths;
  });
}

/** Those that can be run here; of the others it is said why not. */
export function present<T extends Pick<Rival, 'name' | 'missing'>>(rivals: readonly T[]): T[] {
  return rivals.filter((rival) => {
    const reason = rival.missing();
    if (reason !== undefined) say(`${rival.name} does not take part: ${reason}`);
    return reason === undefined;
  });
}

async function startUpsOf(
  arena: Arena,
  rivals: readonly Rival[],
  options: BenchOptions,
): Promise<ReadonlyMap<Rival, StartUp>> {
  const startUps = new Map<Rival, StartUp>();
  const [dataset] = options.datasets;
  if (!dataset) return startUps;
  for (const rival of rivals) {
    say(`${rival.name}: how long it takes on an empty source`);
    try {
      startUps.set(rival, await measureStartUp(arena, rival, dataset, options.quick ? 1 : 3));
    } catch (error) {
      say(`${rival.name} does not take part: ${String(error)}`);
    }
  }
  return startUps;
}
