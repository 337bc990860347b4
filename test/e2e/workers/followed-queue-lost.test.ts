/** `--follow` with `--queue`, whose Redis is lost: writes go on at the sources, and the run once it is back. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type CliRun, startCli } from '../../support/cli.js';
import { counterAt, expectAll, expectWrites } from '../../support/counters.js';
import { followingRuns, waitingCommand } from '../../support/following.js';
import { unlessEnded } from '../../support/halfway.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { type Reported, reportOf } from '../../support/reports.js';
import { type Server, startServer } from '../../support/servers.js';
import { setShards } from '../../support/shards.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const { all, endpoints } = setShards(stage);
const runs = followingRuns();
const { ctl, until } = runs;
const workers: CliRun[] = [];
let queue: Server;
/** Between the coordinator and the queue. */
let proxy: Proxy;

beforeAll(async () => {
  queue = await startServer({ config: ['appendonly yes', 'appendfsync always'] });
});
beforeEach(async () => {
  await queue.client.flushall();
  proxy = await startProxy(queue);
});
afterEach(async () => {
  for (const worker of workers) worker.signal('SIGKILL');
  await Promise.all(workers.splice(0).map(({ done }) => done));
  await proxy.stop();
  // A cutover leaves them refusing writes.
  for (const { client } of all()) await client.config('SET', 'min-replicas-to-write', 0);
});
afterAll(() => queue.stop());

async function startWorker(): Promise<void> {
  const worker = startCli(['worker', '--queue', queue.address, '--concurrency', '3']);
  workers.push(worker);
  await worker.output(/Ready/);
}

const start = (...words: readonly string[]): CliRun =>
  runs.start(endpoints(), '--queue', proxy.address, '--timeout', '2s', ...words);

/** Asks for the cutover until it has come. */
async function cutOver(run: CliRun): Promise<Reported> {
  const isOver = async (): Promise<boolean> => (await ctl('cutover')).code === 0;
  await unlessEnded(run, waitFor('the cutover', isOver));
  return reportOf(await run.done);
}

const takesWrites = ({ client, port }: Server): Promise<boolean> =>
  client.set(`after:${String(port)}`, 'x').then(
    () => true,
    () => false,
  );

it.each(['pause', 'refuse'])(
  'lets writes go on when it is lost in the hold, and goes on once it is back (%s)',
  async (fence) => {
    const command = waitingCommand(runs.folder);
    await startWorker();
    const run = start('--fence', fence, ...command.words);
    await until('following');
    const trying = ctl('cutover');
    await until('holding');
    await queue.crash();
    const { code, stderr } = await trying;
    expect(code).toBe(2);
    expect(stderr).toContain('says nothing');
    for (const server of all()) await waitFor('writes to go on', () => takesWrites(server));
    const counters = all().map(counterAt);
    await expectWrites(counters);
    await queue.revive();
    command.goOn();
    const { code: ended, report } = await cutOver(run);
    expect([ended, report.failures]).toEqual([0, []]);
    await expectAll(counters, stage);
  },
);

it('lets writes go on, and refuses none, when it is lost while one source of several has handed over', async () => {
  await startWorker();
  const counters = all().map(counterAt);
  const run = start();
  await until('following');
  const reached = new Promise<void>((resolve) => {
    proxy.faults.corrupt = (chunk, direction) => {
      if (direction === 'up' && chunk.includes('"shut"')) {
        proxy.faults.corrupt = undefined;
        // This one passes, and nothing behind it.
        proxy.stall();
        resolve();
      }
      return chunk;
    };
  });
  const trying = ctl('cutover');
  await reached;
  const { code, stderr } = await trying;
  expect(code).toBe(2);
  expect(stderr).toContain('says nothing');
  await expectWrites(counters);
  proxy.resume();
  expect((await cutOver(run)).code).toBe(0);
  await expectAll(counters, stage);
});

it('has sources refuse writes without their workers, when it is lost once clients have gone over', async () => {
  await startWorker();
  await stage.source.client.set('ours', 'before');
  const counters = all().map(counterAt);
  const run = start('--max-hold', '60s', '--on-cutover', `kill -9 ${String(queue.pid)}`);
  await until('following');
  await ctl('cutover');
  await expectAll(counters, stage);
  // Clients write there now, and what becomes of the source is nothing to it, as when a key expires.
  await stage.cluster.clientFor('ours').set('ours', 'x');
  await stage.source.client.config('SET', 'min-replicas-to-write', 0);
  await stage.source.client.set('ours', 'y');
  const { code, report } = reportOf(await run.done);
  expect([code, report.status]).toEqual([0, 'complete']);
  expect(report.warnings).toContainEqual(expect.stringContaining('was not heard to its end'));
  expect(report.follow?.cutover).toMatchObject({ source: 'refuses writes' });
  expect(await stage.cluster.clientFor('ours').get('ours')).toBe('x');
  await queue.crash();
  await queue.revive();
});

it('ends when it is told to while it is away', async () => {
  await startWorker();
  const counters = all().map(counterAt);
  const run = start('--key-prefix', '{from}:');
  await until('following');
  await queue.crash();
  run.signal('SIGINT');
  expect((await run.done).code).toBe(130);
  await expectWrites(counters);
  await queue.revive();
  const next = start('--key-prefix', '{from}:', '--cutover', 'auto');
  expect(reportOf(await next.done).code).toBe(0);
  await expectAll(counters, stage, ({ address }) => `${address}:`);
});
