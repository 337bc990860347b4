/** From trials to what is shown: rates, ratios and costs per key, each the median of the rounds. */
import type { CpuSeconds, Dataset, Latency, Rival, Standing, StartUp, Trial } from '../types.js';
import { knownMedian, median } from './medians.js';

/** What one rival did in all rounds. */
export interface Record {
  readonly rival: Rival;
  readonly keys: number;
  readonly startUp: StartUp;
  readonly trials: Trial[];
  latency: Latency | undefined;
}

const sides = ['source', 'targets', 'client'] as const;

export function standingsOf(dataset: Dataset, records: readonly Record[]): readonly Standing[] {
  return records
    .filter((record) => record.trials.length > 0)
    .map((record) => standingOf(dataset, record, records));
}

function standingOf(dataset: Dataset, record: Record, all: readonly Record[]): Standing {
  const { rival, keys, startUp, trials, latency } = record;
  const keysPerSecond = median(trials.map((_, round) => rateOf(record, round)));
  const cpuSeconds = eachSide((side) => median(trials.map((trial) => trial.cpuSeconds[side])));
  return {
    rival: rival.name,
    title: rival.title,
    keys,
    seconds: median(trials.map((trial) => trial.seconds)),
    startUpSeconds: startUp.seconds,
    keysPerSecond,
    megabytesPerSecond: (keysPerSecond * dataset.bytesPerKey) / 1e6,
    ratios: ratiosOf(record, all),
    cpuSeconds,
    cpuMicrosPerKey: eachSide(
      (side) => (Math.max(0, cpuSeconds[side] - startUp.cpuSeconds[side]) / keys) * 1e6,
    ),
    peakBytes: knownMedian(trials.map((trial) => trial.peakBytes)),
    latency,
    trials,
  };
}

/** Keys per second of work: what a program takes before it begins is no part of its rate. */
function rateOf({ keys, startUp, trials }: Record, round: number): number {
  const seconds = trials[round]?.seconds ?? NaN;
  return keys / Math.max(seconds - startUp.seconds, 0.001);
}

/** Two programs are compared within a round, when the machine was the same for both. */
function ratiosOf(record: Record, all: readonly Record[]): Standing['ratios'] {
  const ratios = all
    .filter((other) => other !== record && other.trials.length === record.trials.length)
    .map((other) => {
      const byRound = record.trials.map((_, at) => rateOf(record, at) / rateOf(other, at));
      return [other.rival.name, median(byRound)] as const;
    });
  return Object.fromEntries(ratios);
}

export function eachSide(value: (side: keyof CpuSeconds) => number): CpuSeconds {
  const [source, targets, client] = sides.map(value) as [number, number, number];
  return { source, targets, client };
}
