/**
 * `npm run bench -- sizing [sources] [workers] [seconds] [keys/s]`: what a coordinator takes (`--queue`) that has many
 * sources in its queue and hears many workers, and what its page takes.
 *
 * Real: the built command, from its checks to its report; BullMQ and the queue's Redis; the cluster of three nodes that
 * the command checks and asks; the files; a hundred workers with their connections, leases and news. Simulated: what a
 * worker does with a job. It moves nothing, and says that it does (bench/sizing/simulated-job.ts): as many keys a second
 * as one real worker moves here, into a hundred nodes, which do not exist. So all of the coordinator's work is real but
 * for what it asks nodes for the page. The sources are dump files of ten keys, because a thousand servers would not
 * fit; a server would cost the coordinator one connection more.
 */
import { fork } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findTool } from '../scripts/find-tools.mjs';
import { startBrowser } from '../test/support/browser.js';
import { fillStrings } from '../test/support/bulk.js';
import { type CliRun, startCli } from '../test/support/cli.js';
import { isGone } from '../test/support/job-processes.js';
import { saveTo } from '../test/support/rdb.js';
import { type Server, startServer } from '../test/support/servers.js';
import { waitFor } from '../test/support/wait.js';
import type { Report } from '../src/report.js';
import { withArena } from './lab/arena.js';
import { cpuSecondsOf } from './lab/cpu.js';
import { usageOf } from './lab/process-usage.js';
import { megabytes, short, table } from './report/table.js';
import type { WorkersOptions } from './sizing/workers-process.js';
import type { Benchmark } from './types.js';

export const sizing: Benchmark = {
  usage: '[sources] [workers] [seconds a job] [keys/s a worker]   (1000, 100, 10 and 150000)',
  run: ([sources = '1000', workers = '100', seconds = '10', keysPerSecond = '150000']) =>
    measureSizing(Number(sources), {
      workers: Number(workers),
      seconds: Number(seconds),
      keysPerSecond: Number(keysPerSecond),
      nodes: 100,
    }),
};

type Shape = Omit<WorkersOptions, 'queue'>;

const workersProcess = fileURLToPath(new URL('./sizing/workers-process.ts', import.meta.url));
const keysOfFile = 10;
/** Of one core, the coordinator's at most. */
const mostCpu = 0.2;
const windowMs = 20_000;
const lookEveryMs = 1000;
const asks = 10;

async function measureSizing(count: number, shape: Shape): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-import-sizing-'));
  const [source, queue] = await Promise.all([startServer(), startServer()]);
  try {
    await fillStrings(source, { count: keysOfFile, valueBytes: 20 });
    const first = await saveTo(join(folder, '0.rdb'), source);
    const files = Array.from({ length: count }, (_, at) => join(folder, `${String(at)}.rdb`));
    for (const file of files.slice(1)) copyFileSync(first, file);
    await withArena(async ({ to }) => {
      const from = files.flatMap((file) => ['--from', file]);
      const words = ['--to', to, '--queue', queue.address, '--metrics', '0', '--json'];
      const run = startCli([...from, ...words]);
      try {
        await measureRun(run, queue, count, shape);
      } finally {
        run.signal('SIGKILL');
        await run.done;
      }
    });
  } finally {
    await Promise.all([source.stop(), queue.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureRun(run: CliRun, queue: Server, count: number, shape: Shape): Promise<void> {
  const pid = run.pid as number;
  const [, url = ''] = await run.output(/(http:\/\/[\d.:]+)\/metrics/);
  const jobs = (state: string): Promise<number> =>
    queue.client.llen(`cluster-import:jobs:${state}`);
  await waitFor('all jobs to be queued', async () => (await jobs('wait')) === count);
  const start = usageOf(pid);
  console.log(
    `${String(count)} sources are checked and queued: ${short(start.cpuSeconds)} CPU seconds, ${megabytes(start.memoryBytes)} MB`,
  );
  const endpoint = { host: queue.host, port: queue.port, tls: false, db: 0 };
  const options: WorkersOptions = { ...shape, queue: endpoint };
  const workers = fork(workersProcess, [JSON.stringify(options)], {
    execArgv: ['--import', 'tsx'],
    detached: true,
  });
  const memory: { readonly run: number; readonly queue: number }[] = [];
  const looking = setInterval(() => {
    void queue.client.info('memory').then((info) => {
      const used = Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
      if (!isGone(pid)) memory.push({ run: usageOf(pid).memoryBytes, queue: used });
    });
  }, lookEveryMs);
  try {
    const busy = Math.min(count, shape.workers);
    await waitFor('every worker to have a job', async () => (await jobs('active')) === busy);
    const heard = await tellShare(`hearing ${String(busy)} workers`, pid, queue, () =>
      sleep(windowMs),
    );
    await measurePage(url, pid, queue, heard);
    const { code, stdout, stderr } = await run.done;
    if (code !== 0) throw new Error(`the run failed: ${stderr}`);
    const { moved } = (JSON.parse(stdout) as Report).keys;
    const batches = Math.round((shape.seconds * shape.keysPerSecond) / 512);
    if (moved !== count * batches * 512) throw new Error(`it counted ${String(moved)} keys`);
    tellMemory(memory);
    if (heard > mostCpu) process.exitCode = 1;
  } finally {
    clearInterval(looking);
    workers.disconnect();
  }
}

/** @returns how much of a core the coordinator took meanwhile. */
async function tellShare(
  what: string,
  pid: number,
  queue: Server,
  work: () => Promise<unknown>,
): Promise<number> {
  const [before, queueBefore, startedMs] = [
    usageOf(pid),
    await cpuSecondsOf([queue]),
    performance.now(),
  ];
  await work();
  const tookSeconds = (performance.now() - startedMs) / 1000;
  const share = (usageOf(pid).cpuSeconds - before.cpuSeconds) / tookSeconds;
  const queueShare = ((await cpuSecondsOf([queue])) - queueBefore) / tookSeconds;
  console.log(
    `${what}: coordinator ${percent(share)} of a core, the queue's Redis ${percent(queueShare)}`,
  );
  return share;
}

/**
 * What those take who look: Prometheus, and a browser where there is one.
 * @param heard the share of a core that the coordinator takes without them.
 */
async function measurePage(url: string, pid: number, queue: Server, heard: number): Promise<void> {
  for (const path of ['/', '/live.json', '/metrics', '/report.json']) {
    const [cpuBefore, startedMs] = [usageOf(pid).cpuSeconds, performance.now()];
    let bytes = 0;
    for (let round = 0; round < asks; round++) {
      bytes = (await (await fetch(`${url}${path}`)).arrayBuffer()).byteLength;
    }
    const ms = (performance.now() - startedMs) / asks;
    // What it hears meanwhile is no part of the answer.
    const cpuMs = ((usageOf(pid).cpuSeconds - cpuBefore) * 1000) / asks - heard * ms;
    console.log(
      `${path}: ${short(bytes / 1000)} kB, ${short(ms)} ms, ${short(Math.max(0, cpuMs))} ms of the coordinator's CPU`,
    );
  }
  const chromium = findTool('chromium');
  if (chromium === undefined) {
    console.log('the page: left out, because chromium is not installed (npm run setup:tools)');
    return;
  }
  const browser = await startBrowser(chromium);
  try {
    const page = await browser.context.newPage();
    const session = await browser.context.newCDPSession(page);
    await session.send('Performance.enable');
    await page.goto(url);
    await page.locator('#nodes tr').nth(1).waitFor();
    const figures = async (): Promise<ReadonlyMap<string, number>> => {
      const { metrics } = await session.send('Performance.getMetrics');
      return new Map(metrics.map(({ name, value }) => [name, value]));
    };
    const before = await figures();
    await tellShare('with a browser that looks', pid, queue, () => sleep(windowMs));
    const now = await figures();
    const share = (name: string): string =>
      percent((((now.get(name) ?? 0) - (before.get(name) ?? 0)) * 1000) / windowMs);
    const elements = await page.locator('*').count();
    console.log(
      `the page: ${String(elements)} elements, ${share('TaskDuration')} of a core of the browser's (scripts ${share('ScriptDuration')}, layout ${share('LayoutDuration')}, styles ${share('RecalcStyleDuration')})`,
    );
  } finally {
    await browser.stop();
  }
}

/** In how many parts of the run memory is told. */
const parts = 4;

function tellMemory(memory: readonly { readonly run: number; readonly queue: number }[]): void {
  const part = Math.ceil(memory.length / parts);
  const rows = Array.from({ length: parts }, (_, at) => {
    const some = memory.slice(at * part, (at + 1) * part);
    const most = (read: (one: (typeof memory)[number]) => number) => Math.max(...some.map(read));
    return [
      `part ${String(at + 1)} of ${String(parts)}`,
      `${megabytes(most(({ run }) => run))} MB`,
      `${megabytes(most(({ queue }) => queue))} MB`,
    ];
  });
  console.log(table(['most memory', 'coordinator', 'queue'], rows));
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
