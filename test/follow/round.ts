/** One round: writers write, a run follows, faults happen, the cluster takes over; then all is looked at. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { playTrack } from '../chaos/faults.js';
import type { Run } from '../chaos/importer.js';
import { everyMs, type Servers } from '../chaos/servers.js';
import { runCli } from '../support/cli.js';
import { type Proxy, startProxy } from '../support/proxy.js';
import type { Server } from '../support/servers.js';
import { waitFor } from '../support/wait.js';
import { type Context, fillOther, inject } from './faults.js';
import { inspect, type Inspection } from './inspection.js';
import type { Fault, Plan } from './plan.js';
import { openQueue, type WorkedQueue } from './queue.js';
import { keepFollowing, type Runs } from './runs.js';
import type { Sources } from './sources.js';
import type { Writer } from './writer.js';
import { writersOf } from './writers.js';

export interface RoundResult extends Inspection {
  readonly plan: Plan;
  readonly runs: readonly Run[];
  readonly acknowledged: number;
  /** Of these, in the cluster. */
  readonly inCluster: number;
  readonly doubtful: number;
  /** How often the cutover was asked for. */
  readonly attempts: number;
  readonly durationMs: number;
}

export interface RoundOptions {
  /** Told of what happens, as it happens. */
  readonly trace: (event: string) => void;
}

/** As many writes each writer does in the cluster. */
const writesInCluster = 40;
/** How long the cutover may be tried in vain. */
const triedForMs = 60_000;
/** With a queue, who goes on waits until those before are certainly gone. */
const triedWithQueueForMs = 240_000;

/** Files by which the command of `--on-cutover` and this process speak to each other. */
interface Signs {
  /** The command is to go well. */
  readonly allow: string;
  /** It has told the writers. */
  readonly told: string;
  /** All have gone over. */
  readonly gone: string;
}

export async function playRound(
  plan: Plan,
  servers: Servers,
  sources: Sources,
  { trace: say }: RoundOptions,
  queueServer?: Server,
): Promise<RoundResult> {
  const startedMs = performance.now();
  const trace = (what: string): void => {
    say(`${((performance.now() - startedMs) / 1000).toFixed(2)} s: ${what}`);
  };
  await Promise.all([servers.untilWell(), sources.untilWell()]);
  await letWrite(sources);
  await servers.clear();
  for (const { client } of await sources.masters()) await client.flushall();
  const proxies = new Map<Server, Proxy>();
  for (const server of sources.servers) proxies.set(server, await startProxy(server));
  const prefixOf = (server: Server): string =>
    plan.hasPrefix ? `${proxies.get(server)?.address ?? ''}:` : '';
  const placed = await writersOf(plan, servers, sources, prefixOf);
  const writers = placed.map(({ writer }) => writer);
  const sum = (what: keyof Writer['counts']): number =>
    writers.reduce((total, { counts }) => total + counts[what], 0);
  let runs: Runs | undefined;
  let queue: WorkedQueue | undefined;
  try {
    await Promise.all(writers.map((writer) => writer.fill(plan.keys / writers.length)));
    await fillOther(placed);
    for (const { faults } of proxies.values()) {
      faults.delayMs = { up: plan.delayMs, down: plan.delayMs };
    }
    for (const writer of writers) writer.start();
    const folder = `${sources.servers[0]?.directory ?? ''}/follow-${String(plan.seed)}-${String(Date.now())}`;
    mkdirSync(folder);
    const signs = { allow: `${folder}/allow`, told: `${folder}/told`, gone: `${folder}/gone` };
    const [seed] = await servers.masters();
    if (queueServer && plan.queueWorkers > 0) {
      const { length } = await sources.masters();
      queue = await openQueue(queueServer, plan.queueWorkers, length);
    }
    runs = keepFollowing(
      [
        ...[...endpointsOf(sources, proxies), '--to', seed?.address ?? servers.cluster.seed],
        ...(plan.hasPrefix ? ['--key-prefix', '{from}:'] : []),
        ...(queue ? ['--queue', queue.address] : []),
        ...['--state', `${folder}/state`, ...flagsOf(plan, signs)],
      ],
      trace,
    );
    const context: Context = {
      servers,
      sources,
      proxies,
      importer: runs,
      writers: placed,
      queue,
      trace,
      evicted: () => undefined,
    };
    const play = (track: readonly Fault[]): Promise<unknown> =>
      playTrack(
        track,
        (fault) => inject(fault, context),
        () => sum('acknowledged'),
        trace,
      );
    trace(`${String(plan.keys)} keys are there`);
    await waitFor('the first keys in the cluster', async () => (await servers.cluster.size()) > 0, {
      everyMs,
    });
    await Promise.all(plan.tracks.map(play));
    const complaints: string[] = [];
    if (plan.scripts === 'until the cutover')
      await Promise.all(writers.map((writer) => writer.endScripts()));
    const [attempts] = await Promise.all([
      cutOver(runs, complaints, queue ? triedWithQueueForMs : triedForMs, trace),
      Promise.all(plan.lateTracks.map(play)).then(() => {
        trace('the last fault is over');
        writeFileSync(signs.allow, '');
      }),
      plan.switching === 'command' &&
        tellWriters(plan, signs, { runs, writers, proxies, complaints, trace }),
    ]);
    if (complaints.length === 0) {
      await waitFor(
        'all writers to write in the cluster',
        () => writers.every(({ counts }) => counts.inCluster >= writesInCluster),
        { timeoutMs: triedForMs },
      ).catch((error: unknown) => complaints.push(String(error)));
    }
    await Promise.all(writers.map((writer) => writer.stop()));
    trace('the writers have stopped');
    await servers.untilWell();
    const inspection = await inspect(servers, placed, runs.all);
    return {
      ...inspection,
      // Without a cutover the cluster may well be behind the source.
      complaints: [
        ...(complaints.length > 0 ? complaints : inspection.complaints),
        ...(queue?.complaints ?? []),
      ],
      plan,
      runs: runs.all,
      acknowledged: sum('acknowledged'),
      inCluster: sum('inCluster'),
      doubtful: sum('doubtful'),
      attempts,
      durationMs: performance.now() - startedMs,
    };
  } finally {
    await runs?.stop();
    await queue?.stop();
    await letWrite(sources);
    await Promise.all(writers.map((writer) => writer.stop()));
    await Promise.all([...proxies.values()].map((proxy) => proxy.stop()));
  }
}

function endpointsOf(
  { servers, cluster }: Sources,
  proxies: ReadonlyMap<Server, Proxy>,
): readonly string[] {
  const reached = servers.map((server) => proxies.get(server)?.address ?? '');
  if (!cluster) return reached.flatMap((address) => ['--from', address]);
  return [
    ...['--from-cluster', reached[0] ?? ''],
    ...servers.flatMap(({ address }, at) => ['--nat', `${address}=${reached[at] ?? ''}`]),
  ];
}

function flagsOf(plan: Plan, { allow, told, gone }: Signs): readonly string[] {
  const { maxRate, durability, cutover, fence, feed, maxHold, switching, waitsForWriters } = plan;
  const wait = waitsForWriters ? `; until test -e ${gone}; do sleep 0.02; done` : '';
  const command = `test -e ${allow} || { sleep 0.2; exit 3; }; touch ${told}${wait}`;
  return [
    ...['--follow', '--timeout', '1s', '--retry-for', '20s', '--max-hold', maxHold],
    ...['--cutover', cutover, '--fence', fence, '--feed', feed],
    ...(plan.workers > 1 ? ['--workers', String(plan.workers)] : []),
    ...(maxRate === undefined ? [] : ['--max-rate', String(maxRate)]),
    ...(durability === 'replicas' ? ['--wait-replicas', '1'] : []),
    ...(switching === 'command' ? ['--on-cutover', command] : []),
  ];
}

/** Asks for the cutover until it has come. @returns how often. */
async function cutOver(
  runs: Runs,
  complaints: string[],
  triedForMs: number,
  trace: (what: string) => void,
): Promise<number> {
  let untilMs = performance.now() + triedForMs;
  let attempts = 0;
  let last = '';
  while (!runs.isOver) {
    if (performance.now() > untilMs) {
      complaints.push(`no cutover within ${String(triedForMs / 1000)} s: ${last}`);
      return attempts;
    }
    if (runs.pid !== undefined) {
      attempts++;
      const { code, stderr } = await runCli(['ctl', 'cutover', '--pid', String(runs.pid)]);
      last = code === 0 ? 'cut over' : stderr.trim();
      trace(last);
      if (last.includes('start the same command again')) {
        await runCli(['ctl', 'stop', '--pid', String(runs.pid)]);
        // It may have to copy much before it can be tried again.
        untilMs = performance.now() + triedForMs;
      }
    }
    await sleep(everyMs);
  }
  return attempts;
}

/** Sends the writers over when the command says so. */
async function tellWriters(
  { cutsAtSwitch }: Plan,
  { told, gone }: Signs,
  stage: {
    readonly runs: Runs;
    readonly writers: readonly Writer[];
    readonly proxies: ReadonlyMap<Server, Proxy>;
    /** None, as long as the cutover is tried. */
    readonly complaints: readonly string[];
    readonly trace: (what: string) => void;
  },
): Promise<void> {
  const { runs, writers, proxies, complaints, trace } = stage;
  const isOver = (): boolean => runs.isOver || complaints.length > 0;
  await waitFor('the writers to be told', () => existsSync(told) || isOver(), {
    timeoutMs: Infinity,
  });
  if (!existsSync(told)) return;
  trace('the writers go over');
  if (cutsAtSwitch) for (const proxy of proxies.values()) proxy.cut();
  for (const writer of writers) writer.switchOver();
  writeFileSync(gone, '');
}

/** A cutover leaves the sources so that they refuse writes. */
async function letWrite({ servers }: Sources): Promise<void> {
  for (const { address, client } of servers) {
    await waitFor(`${address} to take writes`, async () => {
      // What each is called up to 4.0, and what is not known up to 6.0.
      await client
        .config('SET', 'min-replicas-to-write', 0)
        .catch(() => client.config('SET', 'min-slaves-to-write', 0));
      await client.call('CLIENT', 'UNPAUSE').catch(() => undefined);
      return true;
    });
  }
}
