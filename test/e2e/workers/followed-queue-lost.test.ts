/** `--follow` with `--queue`, whose Redis is lost: writes go on at the sources, and the run once it is back. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { CliRun } from '../../support/cli.js';
import { counterAt, expectAll, expectWrites, takesWrites } from '../../support/counters.js';
import { unlessEnded } from '../../support/halfway.js';
import { followingRuns, waitingCommand } from '../../support/following.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { setQueue } from '../../support/queue-workers.js';
import { reportOf } from '../../support/reports.js';
import { setShards } from '../../support/shards.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const { all, endpoints } = setShards(stage);
const runs = followingRuns();
const { ctl, until } = runs;
const { queue, startWorker } = setQueue({
  config: ['appendonly yes', 'appendfsync always'],
});
/** Between the coordinator and the queue. */
let proxy: Proxy;

beforeEach(async () => {
  proxy = await startProxy(queue());
});
afterEach(async () => {
  await proxy.stop();
  // A cutover leaves them refusing writes.
  for (const { client } of all()) await client.config('SET', 'min-replicas-to-write', 0);
});

const start = (...words: readonly string[]): CliRun =>
  runs.start(endpoints(), '--queue', proxy.address, '--timeout', '2s', ...words);

it.each(['pause', 'refuse'])(
  'lets writes go on when it is lost in the hold, and goes on once it is back (%s)',
  async (fence) => {
    const command = waitingCommand(runs.folder);
    await startWorker(3);
    const run = start('--fence', fence, ...command.words);
    await until('following');
    const { ended: trying } = await runs.hold();
    await queue().crash();
    const { code, stderr } = await trying;
    expect(code).toBe(2);
    expect(stderr).toContain('says nothing');
    for (const server of all()) await waitFor('writes to go on', () => takesWrites(server));
    const counters = all().map(counterAt);
    await expectWrites(counters);
    await queue().revive();
    command.goOn();
    const { code: ended, report } = reportOf(await runs.cutOver(run));
    expect([ended, report.failures]).toEqual([0, []]);
    await expectAll(counters, stage);
  },
);

it('lets writes go on, and refuses none, when it is lost while one source of several has handed over', async () => {
  await startWorker(3);
  const counters = all().map(counterAt);
  const run = start();
  await until('following');
  let isReached = false;
  proxy.faults.corrupt = (chunk, direction) => {
    if (direction === 'up' && chunk.includes('"shut"')) {
      proxy.faults.corrupt = undefined;
      // This one passes, and nothing behind it.
      proxy.stall();
      isReached = true;
    }
    return chunk;
  };
  // On a busy machine an attempt may be given up before.
  const handedOver = waitFor('one to have handed over', async () => {
    const attempt = await ctl('cutover');
    return isReached && attempt;
  });
  const { code, stderr } = await unlessEnded(run, handedOver);
  expect(code).toBe(2);
  expect(stderr).toContain('says nothing');
  await expectWrites(counters);
  proxy.resume();
  expect(reportOf(await runs.cutOver(run)).code).toBe(0);
  await expectAll(counters, stage);
});

it('has sources refuse writes without their workers, when it is lost once clients have gone over', async () => {
  await startWorker(3);
  await stage.source.client.set('ours', 'before');
  const counters = all().map(counterAt);
  const run = start('--max-hold', '60s', '--on-cutover', `kill -9 ${String(queue().pid)}`);
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
  await queue().crash();
  await queue().revive();
});

it('ends when it is told to while it is away', async () => {
  await startWorker(3);
  const counters = all().map(counterAt);
  const run = start('--key-prefix', '{from}:');
  await until('following');
  await queue().crash();
  run.signal('SIGINT');
  const { code, stderr } = await run.done;
  expect(code).toBe(130);
  expect(stderr).toMatch(/jobs of this run stay in the queue at .*, which was away/);
  await expectWrites(counters);
  await queue().revive();
  const next = start('--key-prefix', '{from}:', '--cutover', 'auto');
  expect(reportOf(await next.done).code).toBe(0);
  await expectAll(counters, stage, ({ address }) => `${address}:`);
});
