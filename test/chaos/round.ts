/** One round: writers write, the import runs, faults happen; then everything is looked at. */
import { randomFrom } from '../support/random.js';
import { type Proxy, startProxy } from '../support/proxy.js';
import { keysAt, type Server } from '../support/servers.js';
import { waitFor } from '../support/wait.js';
import { type Clients, createClients } from './clients.js';
import { type Context, inject, playTrack } from './faults.js';
import { type Importer, keepImporting, type Run } from './importer.js';
import { explained, inspect, type Inspection } from './inspection.js';
import { writePreexisting } from './preexisting.js';
import { interrupts, type Plan } from './plan.js';
import { everyMs, type Servers } from './servers.js';
import { createWriter, type Writer } from './writer.js';
import { createTerritory } from './writes.js';

export interface RoundResult extends Inspection {
  readonly plan: Plan;
  readonly runs: readonly Run[];
  readonly acknowledged: number;
  /** Of these, in the cluster. */
  readonly inCluster: number;
  readonly doubtful: number;
  readonly durationMs: number;
}

export interface RoundOptions {
  /** More flags for the import. */
  readonly flags: readonly string[];
  /** Told of what happens, as it happens. */
  readonly trace: (event: string) => void;
}

const writerCount = 3;
/** How often the same command may have to be given once all is quiet. */
const mostRuns = 6;

export async function playRound(
  plan: Plan,
  servers: Servers,
  { flags, trace: say }: RoundOptions,
): Promise<RoundResult> {
  const startedMs = performance.now();
  const trace = (what: string): void => {
    say(`${((performance.now() - startedMs) / 1000).toFixed(2)} s: ${what}`);
  };
  await servers.untilWell();
  await servers.clear();
  const { sources } = servers;
  const proxies = await Promise.all(sources.map((source) => startProxy(source)));
  const delayAll = (ms: number): void => {
    for (const { faults } of proxies) faults.delayMs = { up: ms, down: ms };
  };
  // Each has keys of its own, so that no two sources have one of the same name.
  const writers = Array.from({ length: writerCount }, (_, at) => {
    const source = sources[at % sources.length] as Server;
    return createWriter(source, randomFrom(plan.seed, at + 1), createTerritory(String(at)));
  });
  const clients =
    plan.clients && createClients(servers, randomFrom(plan.seed, writerCount + 1), plan.clients);
  const sum = (of: (writer: Pick<Writer, 'counts'>) => number): number =>
    [...writers, ...(clients ? [clients] : [])].reduce((total, writer) => total + of(writer), 0);
  let importer: Importer | undefined;
  try {
    await Promise.all(writers.map((writer) => writer.fill(plan.keys / writerCount)));
    await clients?.fill();
    const masters = await servers.masters();
    const preexisting = preexistingKeys(plan, writers, clients);
    await writePreexisting(
      masters.map(({ client }) => client),
      preexisting,
    );
    delayAll(plan.delayMs);
    for (const writer of writers) writer.start();
    clients?.start();
    const files = `${servers.source.directory}/round-${String(plan.seed)}`;
    const failedKeys = `${files}-failed-keys`;
    importer = keepImporting(
      [
        ...proxies.flatMap(({ address }) => ['--from', address]),
        ...['--to', masters[0]?.address ?? servers.cluster.seed],
        ...['--state', files, '--failed-keys', failedKeys],
        ...flagsOf(plan),
        ...flags,
      ],
      async () => (await Promise.all(sources.map(({ client }) => client.keys('*')))).flat(),
      trace,
    );
    let evicted = 0;
    const count = (keys: number): void => void (evicted += keys);
    const current = importer;
    /** What happens to a source happens to any one of them. */
    const contextOf = ({ seed }: { readonly seed: number }): Context => {
      const at = seed % sources.length;
      const [source, proxy] = [sources[at] as Server, proxies[at] as Proxy];
      const otherProxies = proxies.filter((one) => one !== proxy);
      const around = { ...servers, source };
      return { servers: around, proxy, otherProxies, importer: current, trace, evicted: count };
    };
    trace(`${String(plan.keys)} keys are there`);
    await firstKeysMoved(servers, writers);
    const writes = (): number =>
      writers.reduce((total, { counts }) => total + counts.acknowledged, 0);
    const interruptions = await Promise.all(
      plan.tracks.map((track) =>
        playTrack(track, (fault) => inject(fault, contextOf(fault)), writes, trace),
      ),
    );
    await Promise.all(writers.map((writer) => writer.stop()));
    trace('the writers have stopped');
    delayAll(0);
    await servers.untilWell();
    await importer.finish();
    // A whole run while the clients go on: most of their keys are in the cluster.
    const last = await importer.once();
    await clients?.stop();
    trace('the clients have stopped');
    if (!isEnd(last)) await runToTheEnd(importer);
    const inspection = await inspect({
      ledgers: writers.map(({ ledger }) => ledger),
      ...(clients && { clients: clients.ledgers }),
      servers,
      runs: importer.runs,
      plan,
      preexisting,
      interruptions: interruptions.flat().filter(({ kind }) => interrupts(kind)),
      failedKeys,
      evicted,
    });
    return {
      ...inspection,
      plan,
      runs: importer.runs,
      acknowledged: sum(({ counts }) => counts.acknowledged),
      inCluster: clients?.counts.inCluster ?? 0,
      doubtful: sum(({ counts }) => counts.doubtful),
      durationMs: performance.now() - startedMs,
    };
  } finally {
    await importer?.stop();
    await Promise.all(writers.map((writer) => writer.stop()));
    await clients?.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  }
}

function flagsOf(plan: Plan): readonly string[] {
  const existing = { none: [], replaced: ['--replace'], kept: ['--no-replace'] };
  return [
    // Whoever waits no longer than a second takes a busy machine for a lost connection.
    ...['--mover', plan.mover, '--timeout', plan.strict ? '30s' : '1s', '--retry-for', '20s'],
    ...existing[plan.preexisting],
    ...(plan.verify ? ['--verify'] : []),
    ...(plan.workers > 1 ? ['--workers', String(plan.workers)] : []),
    ...(plan.maxRate === undefined ? [] : ['--max-rate', String(plan.maxRate)]),
    ...(plan.durability === 'replicas' ? ['--wait-replicas', '1'] : []),
  ];
}

/** The keys that the cluster has before the import begins. */
function preexistingKeys(
  { preexisting, seed }: Plan,
  writers: readonly Writer[],
  clients: Clients | undefined,
): ReadonlySet<string> {
  if (preexisting === 'none') return new Set();
  const random = randomFrom(seed, writerCount + 2);
  const keys = [
    ...writers.flatMap(({ ledger }) => [...ledger.keys.keys()]),
    ...(clients?.ledgers.map(({ key }) => key) ?? []),
  ];
  return new Set(keys.filter(() => preexisting === 'replaced' || random.oneIn(20)));
}

/** Waits until the import is at it. */
async function firstKeysMoved(servers: Servers, writers: readonly Writer[]): Promise<void> {
  const keysMade = (): number => writers.reduce((sum, { ledger }) => sum + ledger.keys.size, 0);
  const before = await keysAt(servers.sources);
  const madeBefore = keysMade();
  await waitFor(
    'the first keys to leave the source',
    async () => {
      const expected = before + keysMade() - madeBefore;
      return expected - (await keysAt(servers.sources)) > before / 20;
    },
    { timeoutMs: 60_000, everyMs },
  );
}

/** The same command again until all keys are in the cluster, or the rest has its reasons. */
async function runToTheEnd(importer: Importer): Promise<void> {
  for (let runs = 0; runs < mostRuns; runs++) {
    if (isEnd(await importer.once())) return;
  }
}

function isEnd({ code, report }: Run): boolean {
  if (code === 0) return true;
  return code === 1 && report?.failures.every((one) => explained.has(one.class)) === true;
}
