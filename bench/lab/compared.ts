/**
 * What something costs an import: runs with it and without it in turn, round after round, each on a
 * fresh source with the same keys. Ratios are taken within a round, because what else the machine
 * does changes more from minute to minute than a few percent; the median of them is what counts.
 */
import type { Arena, Dataset, Invocation, Rival, Scene, Trial } from '../types.js';
import { table, short } from '../report/table.js';
import { median } from './medians.js';
import { say } from './say.js';
import { runTrial } from './trial.js';

export interface Compared {
  readonly title: string;
  readonly prepare: (scene: Scene) => Promise<Invocation>;
}

export interface Comparison {
  readonly dataset: Dataset;
  readonly keys: number;
  readonly rounds: number;
  readonly without: Compared;
  readonly withIt: Compared;
}

/** What it costs, as a share: 0.02 is two percent. */
export interface Cost {
  readonly time: number;
  readonly clientCpu: number;
  readonly sourceCpu: number;
}

export async function costOf(arena: Arena, comparison: Comparison): Promise<Cost> {
  const { dataset, keys, rounds, without, withIt } = comparison;
  const pairs: (readonly [Trial, Trial])[] = [];
  // The first one is to warm up.
  for (let round = 0; round <= rounds; round++) {
    const inTurn = round % 2 === 0 ? [without, withIt] : [withIt, without];
    const trials = new Map<Compared, Trial>();
    for (const one of inTurn) {
      say(`${dataset.name}, round ${String(round)} of ${String(rounds)}: ${one.title}`);
      trials.set(one, await runTrial(arena, { rival: rivalOf(one), dataset, keys }));
    }
    const [plain, costly] = [trials.get(without), trials.get(withIt)];
    if (round > 0 && plain && costly) pairs.push([plain, costly]);
  }
  const all = [pairs.map(([plain]) => plain), pairs.map(([, costly]) => costly)] as const;
  const rows = [without, withIt].map(({ title }, at) => {
    const trials = all[at] ?? [];
    const of = (read: (trial: Trial) => number): string => short(median(trials.map(read)));
    return [
      title,
      ...[of(({ seconds }) => keys / seconds), of(({ seconds }) => seconds)],
      ...[of(({ cpuSeconds }) => cpuSeconds.client), of(({ cpuSeconds }) => cpuSeconds.source)],
    ];
  });
  console.log(table(['', 'keys/s', 'seconds', 'CPU here, s', 'CPU source, s'], rows));
  const share = (name: string, read: (trial: Trial) => number): number => {
    const ratios = pairs.map(([plain, costly]) => read(costly) / read(plain) - 1);
    const [least, most] = [Math.min(...ratios), Math.max(...ratios)].map(percent);
    console.log(`${name}: ${percent(median(ratios))} (${least ?? ''} to ${most ?? ''})`);
    return median(ratios);
  };
  return {
    time: share('more time', ({ seconds }) => seconds),
    clientCpu: share('more CPU here', ({ cpuSeconds }) => cpuSeconds.client),
    sourceCpu: share('more CPU at the source', ({ cpuSeconds }) => cpuSeconds.source),
  };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function rivalOf({ title, prepare }: Compared): Rival {
  return {
    ...{ name: title, title, isSlow: false, isQuick: true, prepare },
    keysEnd: 'in the cluster',
    missing: () => undefined,
  };
}
