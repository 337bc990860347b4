/** `--queue` and `worker`: the sources are jobs that workers anywhere take, and lose, and take over. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Report } from '../../../src/report.js';
import { fillStrings } from '../../support/bulk.js';
import { type CliRun, runCli, startCli } from '../../support/cli.js';
import { differences, snapshotOfAll } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { unlessEnded } from '../../support/halfway.js';
import { stallAfter } from '../../support/hold.js';
import { isGone, jobsOf } from '../../support/job-processes.js';
import { startProxy } from '../../support/proxy.js';
import { type Server, startServer, using } from '../../support/servers.js';
import { clientsOf } from '../../support/shards.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
let shard: Server;
let queue: Server;
const started: CliRun[] = [];

beforeAll(async () => {
  [shard, queue] = await Promise.all([startServer(), startServer()]);
});
beforeEach(() => Promise.all([shard.client.flushall(), queue.client.flushall()]));
afterEach(async () => {
  for (const run of started) {
    run.signal('SIGCONT');
    run.signal('SIGKILL');
  }
  await Promise.all(started.splice(0).map(({ done }) => done));
});
afterAll(() => Promise.all([shard.stop(), queue.stop()]));

async function startWorker(...words: readonly string[]): Promise<CliRun> {
  const worker = startCli(['worker', '--queue', queue.address, ...words]);
  started.push(worker);
  await worker.output(/Ready/);
  return worker;
}

function start(from: readonly string[], ...words: readonly string[]): CliRun {
  const run = startCli([
    ...from.flatMap((address) => ['--from', address]),
    ...['--to', stage.cluster.seed, '--queue', queue.address, '--json', '--timeout', '10m'],
    ...words,
  ]);
  started.push(run);
  return run;
}

async function reportOf(run: CliRun): Promise<Report & { readonly code: number | undefined }> {
  const { code, stdout, stderr } = await run.done;
  if (!stdout.startsWith('{')) throw new Error(`it printed no report: ${stderr}`);
  return { ...(JSON.parse(stdout) as Report), code };
}

const arrived = () => snapshotOfAll(clientsOf(stage.cluster.masters));

it('moves all sources by workers, and leaves no job behind', async () => {
  await fillEveryType(stage.source.client);
  await fillStrings(shard, { count: 3000, valueBytes: 20, prefix: 'other:' });
  const servers = [stage.source, shard];
  const before = await snapshotOfAll(clientsOf(servers));
  await startWorker();
  const second = await startWorker('--concurrency', '2', '--metrics', '0');
  const [, url = ''] = await second.output(/(http:\/\/[\d.:]+)\/metrics/);
  expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^cluster_import_worker_sources /m);
  const report = await reportOf(start(servers.map(({ address }) => address)));
  expect(report.failures).toEqual([]);
  expect(report).toMatchObject({ code: 0, status: 'complete' });
  expect(report.keys.moved).toBe(before.size);
  expect(report.sources?.map(({ status }) => status)).toEqual(['complete', 'complete']);
  expect(differences(before, await arrived())).toEqual([]);
  for (const { client } of servers) expect(await client.dbsize()).toBe(0);
  const left = await queue.client.keys('cluster-import:*');
  expect(left.filter((key) => /:(jobs:cluster|orders|journal)/.test(key))).toEqual([]);
});

it('gives a job to another worker when one dies', async () => {
  await using(startProxy(stage.source), async (proxy) => {
    await fillStrings(stage.source, { count: 40_000, valueBytes: 100 });
    const before = await snapshotOfAll(clientsOf([stage.source]));
    const first = await startWorker();
    const stalled = stallAfter(proxy, 1_000_000);
    const run = start([proxy.address]);
    await unlessEnded(run, stalled);
    const second = await startWorker();
    first.signal('SIGKILL');
    proxy.resume();
    await unlessEnded(run, second.output(/importing .* attempt=2/));
    const report = await reportOf(run);
    expect(report).toMatchObject({ code: 0, status: 'complete' });
    expect(report.keys.scanned).toBe(report.keys.moved);
    expect(report.warnings).toEqual([
      expect.stringContaining(`imported ${proxy.address} was lost`),
    ]);
    expect(differences(before, await arrived())).toEqual([]);
    expect(await stage.source.client.dbsize()).toBe(0);
  });
});

it('lets nothing arrive any more of a worker that was cut off and comes back', async () => {
  await using(startProxy(stage.source), async (proxy) => {
    await fillStrings(stage.source, { count: 40_000, valueBytes: 100 });
    const names = await stage.source.client.keys('*');
    const first = await startWorker();
    const stalled = stallAfter(proxy, 1_000_000);
    const run = start([proxy.address]);
    await unlessEnded(run, stalled);
    const job = await waitFor('the process of the job', () => jobsOf(first.pid)[0]);
    for (const pid of [job, first.pid as number]) process.kill(pid, 'SIGSTOP');
    proxy.resume();
    const second = await startWorker();
    await unlessEnded(run, second.output(/importing .* attempt=2/));
    expect(await reportOf(run)).toMatchObject({ code: 0, status: 'complete' });
    // Another application has these names at the source by now, and they are none of the run's.
    for (const name of names) await stage.source.client.set(name, 'anew');
    for (const pid of [job, first.pid as number]) process.kill(pid, 'SIGCONT');
    await waitFor('the process to end', () => isGone(job));
    expect(await stage.source.client.dbsize()).toBe(names.length);
    const values = await snapshotOfAll(clientsOf(stage.cluster.masters));
    expect(values.size).toBe(names.length);
    for (const name of names.slice(0, 100)) {
      expect(await stage.cluster.clientFor(name).get(name)).not.toBe('anew');
    }
  });
});

it('goes on with the same run when the coordinator is started again', async () => {
  await using(startProxy(stage.source), async (proxy) => {
    await fillStrings(stage.source, { count: 40_000, valueBytes: 100 });
    await fillStrings(shard, { count: 1000, valueBytes: 20, prefix: 'other:' });
    const before = await snapshotOfAll(clientsOf([stage.source, shard]));
    const worker = await startWorker('--concurrency', '2');
    const stalled = stallAfter(proxy, 1_000_000);
    const first = start([proxy.address, shard.address]);
    await unlessEnded(first, stalled);
    await worker.output(/done with/);
    first.signal('SIGKILL');
    await first.done;
    proxy.resume();
    const report = await reportOf(start([proxy.address, shard.address]));
    expect(report).toMatchObject({ code: 0, status: 'complete' });
    expect(report.sources?.map(({ status }) => status)).toEqual(['complete', 'complete']);
    expect(report.keys.moved).toBe(41_000);
    expect(differences(before, await arrived())).toEqual([]);
  });
});

it("goes on where it was when the queue's Redis comes back empty", async () => {
  await using(startProxy(stage.source), async (proxy) => {
    await fillStrings(stage.source, { count: 40_000, valueBytes: 100 });
    await fillStrings(shard, { count: 1000, valueBytes: 20, prefix: 'other:' });
    const before = await snapshotOfAll(clientsOf([stage.source, shard]));
    const worker = await startWorker();
    const stalled = stallAfter(proxy, 2_500_000);
    // One job is under way, and the other waits for the only worker.
    const words = ['--mover', 'relay', '--metrics', '0'];
    const run = start([proxy.address, shard.address], ...words);
    const [, url = ''] = await run.output(/(http:\/\/[\d.:]+)\/metrics/);
    await unlessEnded(run, stalled);
    const left = (await stage.source.client.dbsize()) + (await shard.client.dbsize());
    const heard = await waitFor('most of what has moved to be heard', async () => {
      const { keys } = (await (await fetch(`${url}/report.json`)).json()) as Report;
      return keys.moved > (41_000 - left) / 2 && keys.moved;
    });
    await queue.client.flushall();
    await unlessEnded(run, worker.output(/importing .* attempt=2/));
    proxy.resume();
    const report = await reportOf(run);
    expect(report).toMatchObject({ code: 0, status: 'complete' });
    // Nobody counts what leaves the source only while it is taken over.
    expect(report.keys.moved).toBeGreaterThan(left + heard / 2);
    expect(report.keys.moved).toBeLessThanOrEqual(41_000);
    expect(differences(before, await arrived())).toEqual([]);
    expect(await stage.source.client.dbsize()).toBe(0);
    expect(await queue.client.keys('cluster-import:orders:*')).toEqual([]);
  });
});

it('stops as one run, takes back what nobody has begun, and goes on', async () => {
  await fillStrings(stage.source, { count: 20_000, valueBytes: 100 });
  await fillStrings(shard, { count: 20_000, valueBytes: 100, prefix: 'other:' });
  const before = await snapshotOfAll(clientsOf([stage.source, shard]));
  const from = [stage.source.address, shard.address];
  const worker = await startWorker();
  const run = start(from, '--max-rate', '500');
  await unlessEnded(run, worker.output(/importing/));
  const isUnderWay = async () => (await stage.cluster.size()) > 0;
  await unlessEnded(run, waitFor('keys to move', isUnderWay));
  run.signal('SIGINT');
  const report = await reportOf(run);
  expect(report).toMatchObject({ code: 130, status: 'interrupted' });
  const both = await snapshotOfAll(clientsOf([stage.source, shard, ...stage.cluster.masters]));
  expect(differences(before, both)).toEqual([]);
  expect(await reportOf(start(from))).toMatchObject({ code: 0, status: 'complete' });
  expect(differences(before, await arrived())).toEqual([]);
});

it('gives what it was at back to the queue when a worker is stopped', async () => {
  await fillStrings(stage.source, { count: 20_000, valueBytes: 100 });
  const before = await snapshotOfAll(clientsOf([stage.source]));
  const first = await startWorker();
  const run = start([stage.source.address], '--max-rate', '2000');
  const isUnderWay = async () => (await stage.cluster.size()) > 0;
  await unlessEnded(run, waitFor('keys to move', isUnderWay));
  first.signal('SIGTERM');
  expect((await first.done).code).toBe(143);
  expect(await stage.source.client.dbsize()).toBeGreaterThan(0);
  await startWorker();
  expect(await reportOf(run)).toMatchObject({ code: 0, keys: { scanned: 20_000, moved: 20_000 } });
  expect(differences(before, await arrived())).toEqual([]);
});

it.each([
  ['a source', () => stage.source.address, 'is a source: give the queue a Redis of its own.'],
  ['a node', () => stage.cluster.seed, 'is a node of a cluster: name a server that stands alone.'],
  ['nothing', () => '127.0.0.1:1', 'start the server, or correct --queue.'],
])('refuses %s as the queue', async (_, address, words) => {
  const from = ['--from', stage.source.address, '--to', stage.cluster.seed];
  await stage.source.client.set('a', '1');
  const { code, stderr } = await runCli([...from, '--queue', address()]);
  expect(stderr).toContain(words);
  expect(code).toBe(2);
});

it('refuses to be a worker of a queue that is not there', async () => {
  const { code, stderr } = await runCli(['worker', '--queue', '127.0.0.1:1']);
  expect(stderr).toContain('start the server, or correct --queue.');
  expect(code).toBe(2);
});

it('refuses a password that would have to travel', async () => {
  const from = `redis://:secret@${stage.source.address}`;
  const words = ['--to', stage.cluster.seed, '--queue', queue.address];
  const { code, stderr } = await runCli(['--from', from, ...words], {});
  expect(code).toBe(2);
  expect(stderr).not.toContain('secret');
});

it('ends when it is told to while the queue was just restarted', async () => {
  await using(startServer(), async (own) => {
    const worker = startCli(['worker', '--queue', own.address]);
    started.push(worker);
    await worker.output(/Ready/);
    await own.crash();
    // It has noticed, and opens its connections again by and by.
    await worker.output(/the queue's Redis is away/);
    worker.signal('SIGTERM');
    expect((await worker.done).code).toBe(143);
  });
});
