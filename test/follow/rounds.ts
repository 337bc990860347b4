/** Plays rounds one after the other, and adds up what came of them. */
import { countsOf, playSeries, type SeriesOptions } from '../chaos/series.js';
import { type FaultKind, type Plan, planOf, type PlanOptions } from './plan.js';
import { playRound, type RoundOptions, type RoundResult } from './round.js';

export async function playRounds(
  options: RoundOptions & SeriesOptions & PlanOptions,
): Promise<{ readonly failedSeeds: readonly number[] }> {
  return playSeries({
    ...options,
    durabilityOf: (seed) => planOf(seed, options).durability,
    play: (seed, servers) => playRound(planOf(seed, options), servers, options),
    lineOf,
    summaryOf,
    command: 'npm run test:follow',
  });
}

function lineOf(result: RoundResult): string {
  const { plan, runs, complaints, durationMs, lost, tooMuch, attempts } = result;
  const { durability, switching, cutover, feed, fence, maxRate, cutsAtSwitch } = plan;
  const kinds = [
    durability,
    switching === 'command' && cutsAtSwitch ? 'command, cut' : switching,
    ...(cutover === 'auto' ? ['auto'] : []),
    ...(fence === 'refuse' ? ['refuse'] : []),
    ...(feed === 'auto' ? [] : [feed]),
    ...(maxRate === undefined ? [] : ['slowly']),
    ...(plan.splitAbove === undefined ? [] : ['split']),
  ];
  const words = [
    `seed ${String(plan.seed)}`,
    kinds.join(', '),
    `${faultsOf(plan).join(' ') || 'no faults'} / ${lateFaultsOf(plan).join(' ') || 'none'}`,
    `runs ${runs.map(({ code }) => code ?? 'killed').join(' ')}, ${String(attempts)} attempts`,
    `${String(result.acknowledged)} writes, ${String(result.inCluster)} in the cluster, ${String(result.doubtful)} doubtful`,
    `lost ${String(lost)}, too much ${String(tooMuch)}`,
    `${(durationMs / 1000).toFixed(1)} s`,
    complaints.length === 0 ? 'well' : `${String(complaints.length)} COMPLAINTS`,
  ];
  // Not wrong as such: the same command was given once more.
  const ends = runs.flatMap(({ code, report, stderr }) =>
    code === 0 || code === undefined
      ? []
      : [`\n    a run ended with ${String(code)}: ${report?.error ?? lastLineOf(stderr)}`],
  );
  return words.join('; ') + ends.join('');
}

const lastLineOf = (text: string): string => text.trim().split('\n').at(-1) ?? '';

function summaryOf(results: readonly RoundResult[]): string {
  const figures = [
    'keys',
    'acknowledged',
    'inCluster',
    'doubtful',
    'attempts',
    'lost',
    'tooMuch',
  ] as const;
  const faults = countsOf(
    results.flatMap(({ plan }) => [...faultsOf(plan), ...lateFaultsOf(plan)]),
  );
  const total = (what: (typeof figures)[number]): number =>
    results.reduce((sum, result) => sum + result[what], 0);
  return [
    `${String(results.length)} rounds: ${faults}`,
    figures.map((what) => `${what} ${total(what).toLocaleString('en')}`).join(', '),
  ].join('\n');
}

const faultsOf = ({ tracks }: Plan): FaultKind[] => tracks.flat().map(({ kind }) => kind);
const lateFaultsOf = ({ lateTracks }: Plan): FaultKind[] =>
  lateTracks.flat().map(({ kind }) => kind);
