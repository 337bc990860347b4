/**
 * A contest: every rival once a round, rounds in turn, so that whatever else the machine does meets
 * all of them alike. One round to warm up is not counted. A rival that fails is out, and it is said why.
 */
import type { Arena, Dataset, Rival, StartUp } from '../types.js';
import { median } from './medians.js';
import { say } from './say.js';
import { eachSide, type Record } from './standings.js';
import { runTrial } from './trial.js';

export interface ContestOptions {
  readonly dataset: Dataset;
  readonly rivals: readonly Rival[];
  readonly rounds: number;
  readonly quick: boolean;
  readonly startUps: ReadonlyMap<Rival, StartUp>;
}

export async function contest(arena: Arena, options: ContestOptions): Promise<readonly Record[]> {
  const { dataset, rounds, quick } = options;
  const records = options.rivals.flatMap((rival): Record[] => {
    const startUp = options.startUps.get(rival);
    if (startUp === undefined) return [];
    const keys = keysFor(dataset, rival, quick);
    return [{ rival, keys, startUp, trials: [], latency: undefined }];
  });
  const out = new Set<Record>();

  async function attempt(record: Record, what: string, work: () => Promise<void>): Promise<void> {
    if (out.has(record)) return;
    say(`${dataset.name}: ${record.rival.name}, ${what}`);
    try {
      await work();
    } catch (error) {
      out.add(record);
      record.trials.length = 0;
      say(`${dataset.name}: ${record.rival.name} is out: ${String(error)}`);
    }
  }

  for (const record of quick ? [] : records) {
    const keys = keysFor(dataset, record.rival, true);
    await attempt(record, 'warm-up', async () => {
      await runTrial(arena, { rival: record.rival, dataset, keys });
    });
  }
  for (let round = 0; round < rounds; round++) {
    // Whoever came first comes last in the next round.
    const turn = round % Math.max(records.length, 1);
    for (const record of [...records.slice(turn), ...records.slice(0, turn)]) {
      const { rival, keys } = record;
      await attempt(record, `round ${String(round + 1)} of ${String(rounds)}`, async () => {
        record.trials.push(await runTrial(arena, { rival, dataset, keys }));
      });
    }
  }
  for (const record of records.filter(({ rival }) => isProbed(rival, quick))) {
    const { rival, keys } = record;
    await attempt(record, 'once more, with a probe', async () => {
      record.latency = (await runTrial(arena, { rival, dataset, keys, probed: true })).latency;
    });
  }
  return records;
}

/** The floor is no import; and with `--quick` there is time for the two that are compared most. */
function isProbed({ name, keysEnd }: Rival, quick: boolean): boolean {
  if (quick) return name === 'relay' || name === 'redis-cli';
  return keysEnd !== 'nowhere';
}

function keysFor(dataset: Dataset, rival: Rival, quick: boolean): number {
  if (quick) return rival.isSlow ? dataset.quickSlowKeys : dataset.quickKeys;
  return rival.isSlow ? dataset.slowKeys : dataset.keys;
}

/** What a rival takes to start and to end: some runs on an empty source. */
export async function measureStartUp(
  arena: Arena,
  rival: Rival,
  dataset: Dataset,
  count: number,
): Promise<StartUp> {
  const runs: StartUp[] = [];
  for (let round = 0; round < count; round++) {
    runs.push(await runTrial(arena, { rival, dataset, keys: 0 }));
  }
  return {
    seconds: median(runs.map((one) => one.seconds)),
    cpuSeconds: eachSide((side) => median(runs.map((one) => one.cpuSeconds[side]))),
  };
}
