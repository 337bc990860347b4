/** Plays rounds one after the other, and adds up what came of them. */
import type { FaultKind, Plan, PlanOptions } from './plan.js';
import { planOf } from './plan.js';
import { playRound, type RoundOptions, type RoundResult } from './round.js';
import { type Durability, startServers, type Servers } from './servers.js';

export interface RoundsOptions extends RoundOptions, PlanOptions {
  /** One for each round. */
  readonly seeds: readonly number[];
  /** How many rounds are played at the same time, each on servers of its own. */
  readonly jobs?: number;
  readonly say: (line: string) => void;
}

export interface Totals {
  readonly lost: number;
  readonly doubled: number;
  readonly undone: number;
  readonly failedSeeds: readonly number[];
}

export async function playRounds(options: RoundsOptions): Promise<Totals> {
  const { seeds, say, jobs = 1 } = options;
  const results: RoundResult[] = [];
  const brokenSeeds: number[] = [];
  const left = [...seeds];

  /** One round after the other. */
  async function playSome(): Promise<void> {
    const started = new Map<Durability, Servers>();
    try {
      for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
        const result = await playTwice(seed, started, options).catch((error: unknown) => {
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
      await Promise.all([...started.values()].map((servers) => servers.stop()));
    }
  }

  await Promise.all(Array.from({ length: Math.min(jobs, seeds.length) }, playSome));
  const failedSeeds = [
    ...brokenSeeds,
    ...results.filter((one) => one.complaints.length > 0).map(({ plan }) => plan.seed),
  ].sort((one, other) => one - other);
  say(summaryOf(results));
  if (failedSeeds.length > 0) {
    say(`failed seeds: ${failedSeeds.join(' ')}; again, one at a time:`);
    say(`    npm run test:chaos -- --rounds 1 --trace --seed ${String(failedSeeds[0])}`);
  }
  return {
    lost: total(results, 'lost'),
    doubled: total(results, 'doubled'),
    undone: total(results, 'undone'),
    failedSeeds,
  };
}

/** A round may break off by what servers do to each other; then it is played on new ones. */
async function playTwice(
  seed: number,
  started: Map<Durability, Servers>,
  options: RoundsOptions,
): Promise<RoundResult> {
  const plan = planOf(seed, options);
  async function play(): Promise<RoundResult> {
    const servers = started.get(plan.durability) ?? (await startServers(plan.durability));
    started.set(plan.durability, servers);
    return playRound(plan, servers, options);
  }
  try {
    return await play();
  } catch (error) {
    options.say(`seed ${String(seed)}; broken off, and played again: ${String(error)}`);
    await started.get(plan.durability)?.stop();
    started.delete(plan.durability);
    return await play();
  }
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
  const kinds = new Map<FaultKind, number>();
  for (const { plan } of results) {
    for (const kind of faultsOf(plan)) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const figures: readonly Figure[] = [
    ...(['keys', 'acknowledged', 'inCluster', 'doubtful'] as const),
    ...reportedFigures,
    ...(['lost', 'doubled', 'undone'] as const),
  ];
  return [
    `${String(results.length)} rounds: ${[...kinds].map(([kind, times]) => `${kind} ${String(times)}`).join(', ')}`,
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
