/** One round: writers write, the import runs, faults happen; then everything is looked at. */
import { randomFrom } from '../fuzz/random.js';
import { startProxy } from '../support/proxy.js';
import { waitFor } from '../support/wait.js';
import { inject, type Scene } from './faults.js';
import { type Importer, keepImporting, type Run } from './importer.js';
import { inspect, type Inspection } from './inspection.js';
import { occupy } from './occupant.js';
import type { Fault, Plan } from './plan.js';
import type { Theatre } from './theatre.js';
import { createWriter, type Writer } from './writer.js';
import { createTerritory } from './writes.js';

export interface RoundResult extends Inspection {
  readonly plan: Plan;
  readonly runs: readonly Run[];
  readonly acknowledged: number;
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
  theatre: Theatre,
  { flags, trace }: RoundOptions,
): Promise<RoundResult> {
  const startedMs = performance.now();
  const tell = (what: string): void => {
    trace(`${((performance.now() - startedMs) / 1000).toFixed(2)} s: ${what}`);
  };
  await theatre.allWell();
  await theatre.clear();
  const proxy = await startProxy(theatre.source);
  const writers = Array.from({ length: writerCount }, (_, at) =>
    createWriter(theatre.source, randomFrom(plan.seed, at + 1), createTerritory(String(at))),
  );
  const sum = (of: (writer: Writer) => number): number =>
    writers.reduce((total, writer) => total + of(writer), 0);
  let importer: Importer | undefined;
  try {
    await Promise.all(writers.map((writer) => writer.fill(plan.keys / writerCount)));
    if (plan.occupied) {
      const clients = (await theatre.masters()).map(({ client }) => client);
      await occupy(
        clients,
        writers.flatMap(({ ledger }) => [...ledger.keys.keys()]),
      );
    }
    proxy.faults.delayMs = { up: plan.delayMs, down: plan.delayMs };
    for (const writer of writers) writer.start();
    const masters = await theatre.masters();
    importer = keepImporting(
      [
        ...['--from', proxy.address, '--to', masters[0]?.address ?? theatre.cluster.seed],
        ...['--state', `${theatre.source.directory}/round-${String(plan.seed)}`],
        ...['--mover', plan.mover, '--timeout', '1s', '--retry-for', '20s'],
        ...(plan.occupied ? ['--replace'] : []),
        ...(plan.maxRate === undefined ? [] : ['--max-rate', String(plan.maxRate)]),
        ...(theatre.cast === 'replicas' ? ['--wait-replicas', '1'] : []),
        ...flags,
      ],
      tell,
    );
    const scene = { theatre, proxy, importer, tell };
    tell(`${String(plan.keys)} keys are there`);
    await firstKeysMoved(theatre, writers);
    const writes = (): number => sum(({ counts }) => counts.acknowledged);
    await Promise.all(plan.tracks.map((track) => playTrack(track, scene, writes)));
    await Promise.all(writers.map((writer) => writer.stop()));
    tell('the writers have stopped');
    proxy.faults.delayMs = { up: 0, down: 0 };
    await theatre.allWell();
    const last = await runToTheEnd(importer);
    const ledgers = writers.map(({ ledger }) => ledger);
    const inspection = await inspect(ledgers, theatre, last, importer.runs, plan);
    return {
      ...inspection,
      plan,
      runs: importer.runs,
      acknowledged: sum(({ counts }) => counts.acknowledged),
      doubtful: sum(({ counts }) => counts.doubtful),
      durationMs: performance.now() - startedMs,
    };
  } finally {
    await importer?.stop();
    await Promise.all(writers.map((writer) => writer.stop()));
    await proxy.stop();
  }
}

/** Waits until the import is at it. */
async function firstKeysMoved(theatre: Theatre, writers: readonly Writer[]): Promise<void> {
  await waitFor('the first keys to leave the source', async () => {
    const made = writers.reduce((sum, { ledger }) => sum + ledger.keys.size, 0);
    return made - (await theatre.source.client.dbsize()) > made / 20;
  });
}

async function playTrack(
  track: readonly Fault[],
  scene: Scene,
  writes: () => number,
): Promise<void> {
  for (const fault of track) {
    const due = writes() + fault.afterWrites;
    await waitFor('the next fault', () => writes() >= due);
    scene.tell(`${fault.kind} begins`);
    await inject(fault, scene);
    scene.tell(`${fault.kind} is over`);
  }
}

/** The same command again until all keys are in the cluster, or the rest has its reasons. */
async function runToTheEnd(importer: Importer): Promise<Run> {
  let last = await importer.finish();
  for (let runs = 1; runs < mostRuns && !isEnd(last); runs++) last = await importer.once();
  return last;
}

function isEnd({ code, report }: Run): boolean {
  if (code === 0) return true;
  const explained = ['conflict', 'recreated'];
  return code === 1 && report?.failures.every((one) => explained.includes(one.class)) === true;
}
