/** Plays rounds one after the other, and adds up what came of them. */
import type { FaultKind, Plan } from './plan.js';
import { planOf } from './plan.js';
import { playRound, type RoundOptions, type RoundResult } from './round.js';
import { type Cast, openTheatre, type Theatre } from './theatre.js';

export interface RoundsOptions extends RoundOptions {
  /** One for each round. */
  readonly seeds: readonly number[];
  readonly say: (line: string) => void;
}

export interface Totals {
  readonly lost: number;
  readonly doubled: number;
  readonly failedSeeds: readonly number[];
}

export async function playRounds(options: RoundsOptions): Promise<Totals> {
  const { seeds, say } = options;
  const theatres = new Map<Cast, Theatre>();
  const results: RoundResult[] = [];
  const brokenSeeds: number[] = [];

  async function play(plan: Plan): Promise<RoundResult> {
    const theatre = theatres.get(plan.cast) ?? (await openTheatre(plan.cast));
    theatres.set(plan.cast, theatre);
    return playRound(plan, theatre, options);
  }

  /** A round may break off by what servers do to each other; then it is played on new ones. */
  async function playTwice(seed: number): Promise<RoundResult> {
    const plan = planOf(seed);
    try {
      return await play(plan);
    } catch (error) {
      say(`seed ${String(seed)}; broken off, and played again: ${String(error)}`);
      await theatres.get(plan.cast)?.stop();
      theatres.delete(plan.cast);
      return await play(plan);
    }
  }

  try {
    for (const seed of seeds) {
      const result = await playTwice(seed).catch((error: unknown) => {
        say(`seed ${String(seed)}; BROKEN OFF TWICE: ${String(error)}`);
      });
      if (!result) {
        brokenSeeds.push(seed);
        continue;
      }
      results.push(result);
      say(lineOf(result));
      for (const complaint of result.complaints.slice(0, 10)) say(`    ${complaint}`);
    }
  } finally {
    await Promise.all([...theatres.values()].map((theatre) => theatre.stop()));
  }
  const totals = {
    lost: total(results, 'lost'),
    doubled: total(results, 'doubled'),
    failedSeeds: [
      ...brokenSeeds,
      ...results.filter((one) => one.complaints.length > 0).map(({ plan }) => plan.seed),
    ],
  };
  say(summaryOf(results));
  const { failedSeeds } = totals;
  if (failedSeeds.length > 0)
    say(`failed: ${failedSeeds.map((one) => `--seed ${String(one)}`).join(', ')}`);
  return totals;
}

function lineOf({ plan, runs, complaints, durationMs, ...counts }: RoundResult): string {
  const words = [
    `seed ${String(plan.seed)}`,
    `${plan.mover}, ${plan.cast}${plan.maxRate === undefined ? '' : ', in pieces'}${plan.occupied ? ', occupied' : ''}${plan.strict ? ', strict' : ''}`,
    faultsOf(plan).join(' ') || 'no faults',
    `runs ${runs.map(({ code }) => code ?? 'killed').join(' ')}`,
    `${String(counts.acknowledged)} writes`,
    `${String(counts.recreated)} recreated, ${String(counts.stale)} stale, ${String(counts.ghosts)} ghosts`,
    `${(durationMs / 1000).toFixed(1)} s`,
    complaints.length === 0 ? 'well' : `${String(complaints.length)} COMPLAINTS`,
  ];
  return words.join('; ');
}

function summaryOf(results: readonly RoundResult[]): string {
  const kinds = new Map<FaultKind, number>();
  for (const { plan } of results) {
    for (const kind of faultsOf(plan)) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const count = (what: Parameters<typeof total>[1]): string =>
    `${what} ${total(results, what).toLocaleString('en')}`;
  return [
    `${String(results.length)} rounds: ${[...kinds].map(([kind, times]) => `${kind} ${String(times)}`).join(', ')}`,
    (
      [
        'keys',
        'acknowledged',
        'doubtful',
        'recreated',
        'stale',
        'ghosts',
        'lost',
        'doubled',
      ] as const
    )
      .map(count)
      .join(', '),
  ].join('\n');
}

function faultsOf(plan: Plan): readonly FaultKind[] {
  return plan.tracks.flat().map(({ kind }) => kind);
}

type Figure =
  'keys' | 'acknowledged' | 'doubtful' | 'recreated' | 'stale' | 'ghosts' | 'lost' | 'doubled';

function total(results: readonly RoundResult[], what: Figure): number {
  return results.reduce((sum, result) => sum + result[what], 0);
}
