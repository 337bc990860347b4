/** Plays rounds one after the other, and adds up what came of them. */
import type { FaultKind, Plan, PlanOptions } from './plan.js';
import { planOf } from './plan.js';
import { playRound, type RoundOptions, type RoundResult } from './round.js';
import { countsOf, playSeries, type SeriesOptions } from './series.js';
import { type Durability, startServers } from './servers.js';
import { Started } from './started.js';

type RoundsOptions = RoundOptions & PlanOptions & SeriesOptions;

export interface Totals {
  readonly lost: number;
  readonly doubled: number;
  readonly undone: number;
  readonly failedSeeds: readonly number[];
}

export async function playRounds(options: RoundsOptions): Promise<Totals> {
  const planFor = (seed: number): Plan => planOf(seed, options);
  const { results, failedSeeds } = await playSeries({
    ...options,
    openStage: () => {
      const servers = new Started((durability: Durability) =>
        startServers(durability, undefined, options.workers ?? 1),
      );
      return {
        play: async (seed) => {
          const plan = planFor(seed);
          return playRound(plan, await servers.get(plan.durability), options);
        },
        stop: () => servers.stop(),
      };
    },
    lineOf,
    summaryOf,
    command: `npm run test:chaos -- --workers ${String(options.workers ?? 1)}`,
  });
  return {
    lost: total(results, 'lost'),
    doubled: total(results, 'doubled'),
    undone: total(results, 'undone'),
    failedSeeds,
  };
}

function lineOf({ plan, runs, complaints, durationMs, ...counts }: RoundResult): string {
  const { mover, durability, maxRate, verify, preexisting, strict, clients } = plan;
  const kinds = [
    mover,
    durability,
    ...(maxRate === undefined ? [] : ['in pieces']),
    ...(verify ? ['verify'] : []),
    ...(preexisting === 'none' ? [] : [preexisting]),
    ...(strict ? ['strict'] : []),
    ...(clients ? [] : ['source only']),
  ];
  const figures = ['lost', 'doubled', 'undone', ...reportedFigures].map(
    (what) => `${what} ${String(counts[what as Figure])}`,
  );
  const words = [
    `seed ${String(plan.seed)}`,
    kinds.join(', '),
    faultsOf(plan).join(' ') || 'no faults',
    `runs ${runs.map(({ code }) => code ?? 'killed').join(' ')}`,
    `${String(counts.acknowledged)} writes, ${String(counts.inCluster)} in the cluster`,
    figures.join(', '),
    `${(durationMs / 1000).toFixed(1)} s`,
    complaints.length === 0 ? 'well' : `${String(complaints.length)} COMPLAINTS`,
  ];
  return words.join('; ');
}

function summaryOf(results: readonly RoundResult[]): string {
  const figures: readonly Figure[] = [
    ...(['keys', 'acknowledged', 'inCluster', 'doubtful'] as const),
    ...reportedFigures,
    ...(['lost', 'doubled', 'undone'] as const),
  ];
  return [
    `${String(results.length)} rounds: ${countsOf(results.flatMap(({ plan }) => faultsOf(plan)))}`,
    figures.map((what) => `${what} ${total(results, what).toLocaleString('en')}`).join(', '),
  ].join('\n');
}

function faultsOf(plan: Plan): readonly FaultKind[] {
  return plan.tracks.flat().map(({ kind }) => kind);
}

const reportedFigures = [
  'recreated',
  'diverged',
  'conflict',
  'evicted',
  'stale',
  'ghosts',
] as const;

type Figure =
  | (typeof reportedFigures)[number]
  | 'keys'
  | 'acknowledged'
  | 'inCluster'
  | 'doubtful'
  | 'lost'
  | 'doubled'
  | 'undone';

function total(results: readonly RoundResult[], what: Figure): number {
  return results.reduce((sum, result) => sum + result[what], 0);
}
