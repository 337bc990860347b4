/** Plays rounds one after the other, and adds up what came of them. */
import { countsOf, playSeries, type SeriesOptions, type Stage } from '../chaos/series.js';
import { type Durability, type Servers, startServers } from '../chaos/servers.js';
import { Started } from '../chaos/started.js';
import { type Server, startServer } from '../support/servers.js';
import { type FaultKind, type Plan, planOf, type PlanOptions } from './plan.js';
import { ofQueue } from './queue.js';
import { playRound, type RoundOptions, type RoundResult } from './round.js';
import { firstOf, onlySource, type Sources, type SourcesKind, startSources } from './sources.js';

export async function playRounds(
  options: RoundOptions & SeriesOptions & PlanOptions,
): Promise<{ readonly failedSeeds: readonly number[] }> {
  return playSeries({
    ...options,
    openStage: () => openStage(options),
    lineOf,
    summaryOf,
    command: 'npm run test:follow --',
  });
}

/** Servers as plans ask for them. */
function openStage(options: RoundOptions & PlanOptions): Stage<RoundResult> {
  const targets = new Started((durability: Durability) => startServers(durability));
  const queues = new Started<'queue', Server>(() => startServer({ config: ofQueue }));
  const others = new Started((kind: Exclude<SourcesKind, 'one'>) => startSources(kind));

  async function sourcesOf({ sources, sourceCount }: Plan, servers: Servers): Promise<Sources> {
    if (sources === 'one') return onlySource(servers);
    const started = await others.get(sources);
    return sources === 'several' ? firstOf(started, sourceCount) : started;
  }

  return {
    async play(seed) {
      const plan = planOf(seed, options);
      const servers = await targets.get(plan.durability);
      const queue = plan.queueWorkers > 0 ? await queues.get('queue') : undefined;
      return playRound(plan, servers, await sourcesOf(plan, servers), options, queue);
    },
    async stop() {
      await Promise.all([targets.stop(), others.stop(), queues.stop()]);
    },
  };
}

function lineOf(result: RoundResult): string {
  const { plan, runs, complaints, durationMs, lost, tooMuch, attempts } = result;
  const { durability, switching, cutover, feed, fence, maxRate, cutsAtSwitch } = plan;
  const kinds = [
    sourcesWords(plan),
    ...(plan.queueWorkers > 0 ? [`${String(plan.queueWorkers)} workers of a queue`] : []),
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

function sourcesWords({ sources, sourceCount, hasPrefix }: Plan): string {
  if (sources === 'cluster') return 'a cluster';
  if (sources === 'one') return 'one source';
  return `${String(sourceCount)} sources${hasPrefix ? ' with prefix' : ''}`;
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
    `${String(results.length)} rounds (${countsOf(results.map(({ plan }) => plan.sources))}): ${faults}`,
    figures.map((what) => `${what} ${total(what).toLocaleString('en')}`).join(', '),
  ].join('\n');
}

const faultsOf = ({ tracks }: Plan): FaultKind[] => tracks.flat().map(({ kind }) => kind);
const lateFaultsOf = ({ lateTracks }: Plan): FaultKind[] =>
  lateTracks.flat().map(({ kind }) => kind);
