/** One round: a run by a queue, whose workers, coordinator and queue are disturbed, until it is complete. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Report } from '../../src/report.js';
import { fillMixed, fillStrings } from '../support/bulk.js';
import { type CliRun, startCli } from '../support/cli.js';
import type { TestCluster } from '../support/cluster.js';
import { differences, snapshotOfAll } from '../support/compare.js';
import { isGone, jobsOf } from '../support/job-processes.js';
import type { Random } from '../support/random.js';
import type { Server } from '../support/servers.js';
import { waitFor } from '../support/wait.js';

export interface Stage {
  readonly sources: readonly Server[];
  readonly cluster: TestCluster;
  readonly queue: Server;
}

export interface RoundOptions {
  readonly workers: number;
  readonly faults: number;
  readonly random: Random;
}

export interface Round {
  readonly faults: readonly string[];
  readonly report: Report;
  /** Keys that moved, by all reports: one that has printed its own may be killed behind it. */
  readonly counted: number;
  readonly ms: number;
  /** What is wrong; nothing, if all is well. */
  readonly complaints: readonly string[];
}

/** Longer than a worker keeps its job without a sign of life, and than the next look for such jobs takes. */
const stoppedMs = 22_000;
const startsAtMost = 10;

interface Stopped {
  readonly worker: number;
  readonly jobs: readonly number[];
}

export async function playRound(stage: Stage, options: RoundOptions): Promise<Round> {
  const { sources, cluster, queue } = stage;
  const { random } = options;
  await Promise.all([...sources, queue].map(({ client }) => client.flushall()));
  await cluster.flush();
  for (const [at, source] of sources.entries()) {
    await fillStrings(source, { count: 12_000, valueBytes: 300, prefix: `${String(at)}:` });
  }
  await fillMixed(sources[0] as Server, 3000);
  const clients = sources.map(({ client }) => client);
  const before = await snapshotOfAll(clients);
  const names = await Promise.all(clients.map((client) => client.keys('*')));
  const beganMs = Date.now();
  const workers: CliRun[] = [];
  const stopped: Stopped[] = [];
  const faults: string[] = [];
  const complaints: string[] = [];
  /** One that finds no queue as it starts ends, as it should: so none is left alone with a fault before. */
  const startWorker = async (): Promise<void> => {
    const worker = startCli(['worker', '--queue', queue.address, '--concurrency', '2']);
    workers.push(worker);
    await worker.output(/Ready/);
  };
  const coordinate = (): CliRun =>
    startCli([
      ...sources.flatMap(({ address }) => ['--from', address]),
      ...['--to', cluster.seed, '--queue', queue.address],
      ...['--max-rate', '4000', '--json', '--quiet', '--timeout', '5s'],
    ]);
  const alive = (): CliRun[] => {
    const asleep = new Set(stopped.map(({ worker }) => worker));
    return workers.filter(({ pid }) => pid !== undefined && !isGone(pid) && !asleep.has(pid));
  };

  const journalKeys = (): Promise<string[]> => queue.client.keys('cluster-import:journal:*');
  /** Who holds the journal; null: nobody. */
  const holder = async (): Promise<string | null> => {
    const lock = (await journalKeys()).find((key) => key.endsWith(':lock'));
    return lock === undefined ? null : queue.client.get(lock);
  };
  let counted = 0;
  /** The last coordinator that was killed held it. */
  let killed: string | null = null;
  /** How often a coordinator and the queue may have gone before anybody else had heard what they knew. */
  let forgotten = 0;

  const injections: Readonly<Record<string, () => Promise<void>>> = {
    async 'kill a worker'() {
      random.pick(alive()).signal('SIGKILL');
      await startWorker();
    },
    async 'stop a worker'() {
      const worker = random.pick(alive()).pid as number;
      const one = { worker, jobs: jobsOf(worker) };
      for (const pid of [...one.jobs, worker]) process.kill(pid, 'SIGSTOP');
      stopped.push(one);
      await startWorker();
      await sleep(stoppedMs);
      // Some wake up while another has their job, others when all is over.
      if (random.int(2) === 0) complaints.push(...(await wake(one)));
    },
    async 'restart the queue'() {
      await queue.crash();
      await sleep(random.int(2000));
      await queue.revive();
    },
    async 'empty the queue'() {
      // Without its journal a coordinator that is started again has no right to the keys in the cluster.
      // What had moved by then was known to it and to the queue.
      if (killed !== null) forgotten++;
      const isRead = async () => ![killed, null].includes(await holder());
      await Promise.race([waitFor('the coordinator to have its journal', isRead), run.done]);
      await sleep(1000);
      await queue.client.flushall();
      const isThere = async () => (await journalKeys()).some((key) => !key.endsWith(':lock'));
      await Promise.race([waitFor('the journal to be there again', isThere), run.done]);
    },
    async 'kill the coordinator'() {
      killed = await holder();
      run.signal('SIGKILL');
      counted += movedIn(reportIn(await run.done));
      run = coordinate();
    },
  };

  let run = coordinate();
  try {
    await Promise.all(Array.from({ length: options.workers }, startWorker));
    for (let at = 0; at < options.faults; at++) {
      await sleep(500 + random.int(3000));
      const name = random.pick(Object.keys(injections));
      faults.push(name);
      await injections[name]?.();
    }
    let report: Report | undefined;
    for (let starts = 1; report?.status !== 'complete'; starts++) {
      const { code, stdout, stderr } = await run.done;
      report = reportIn({ stdout });
      counted += movedIn(report);
      if (code === 0) break;
      if (starts === startsAtMost) throw new Error(`it never came to its end: ${stdout}${stderr}`);
      run = coordinate();
    }
    if (report === undefined) throw new Error('it ended without a report');
    if (counted === 0 && forgotten === 0) complaints.push('no report counts what has moved');
    complaints.push(...differences(before, await snapshotOfAll(masters(cluster))));
    // Others have these names at the sources by now: whoever wakes up only now must leave them alone.
    for (const [at, client] of clients.entries()) {
      if ((await client.dbsize()) > 0) complaints.push(`source ${String(at)} has keys left`);
      const pairs = (names[at] ?? []).flatMap((name) => [name, 'anew']);
      await client.mset(...pairs);
    }
    for (const one of stopped) complaints.push(...(await wake(one)));
    await Promise.all(workers.map((worker) => lastJobs(worker)));
    complaints.push(...differences(before, await snapshotOfAll(masters(cluster))));
    for (const [at, client] of clients.entries()) {
      const missing = (names[at]?.length ?? 0) - (await client.dbsize());
      if (missing > 0)
        complaints.push(`${String(missing)} keys of source ${String(at)} were taken`);
    }
    return { faults, report, counted, ms: Date.now() - beganMs, complaints };
  } finally {
    run.signal('SIGKILL');
    for (const { worker, jobs } of stopped) goOn([...jobs, worker]);
    for (const worker of workers) worker.signal('SIGKILL');
    await Promise.all([run, ...workers].map(({ done }) => done));
  }
}

function reportIn({ stdout }: { readonly stdout: string }): Report | undefined {
  return stdout.startsWith('{') ? (JSON.parse(stdout) as Report) : undefined;
}

/** One that was refused counts none. */
function movedIn(report: Partial<Report> | undefined): number {
  return report?.keys?.moved ?? 0;
}

function masters(cluster: TestCluster) {
  return cluster.masters.map(({ client }) => client);
}

/**
 * The jobs first, so that they must find out by themselves that they are another's: their worker, which would end
 * them, may be as slow to wake up as it likes.
 */
async function wake({ worker, jobs }: Stopped): Promise<readonly string[]> {
  goOn(jobs);
  const areGone = () => jobs.every(isGone);
  const isOver = await waitFor('what was stopped to end', areGone, { timeoutMs: 60_000 }).catch(
    () => false,
  );
  goOn([worker]);
  return isOver ? [] : ['what was stopped went on, though others had its job'];
}

function goOn(pids: readonly number[]): void {
  for (const pid of pids) if (!isGone(pid)) process.kill(pid, 'SIGCONT');
}

/** Waits until a worker has no job any more: what it was at is somebody else's, or done. */
async function lastJobs({ pid }: CliRun): Promise<void> {
  if (pid === undefined || isGone(pid)) return;
  await waitFor('its jobs to end', () => jobsOf(pid).length === 0);
}
