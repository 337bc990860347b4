/** `--follow` with `--queue`: workers anywhere follow the sources, and have one cutover. */
import { afterEach, expect, it } from 'vitest';
import { counterAt, expectAll, expectWrites } from '../../support/counters.js';
import { followingRuns, waitingCommand } from '../../support/following.js';
import { jobsOf } from '../../support/job-processes.js';
import { setQueue } from '../../support/queue-workers.js';
import { reportOf } from '../../support/reports.js';
import { setShards } from '../../support/shards.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const { all, endpoints } = setShards(stage);
const runs = followingRuns();
const { until } = runs;
const { queue, startWorker } = setQueue();

afterEach(async () => {
  // A cutover leaves them refusing writes.
  for (const { client } of all()) await client.config('SET', 'min-replicas-to-write', 0);
});

const start = (...words: readonly string[]) =>
  runs.start(endpoints(), '--queue', queue().address, ...words);

it('cuts over at one moment, and leaves nothing in the queue', async () => {
  const counters = all().map(counterAt);
  await Promise.all([startWorker(2), startWorker(1)]);
  const run = start('--cutover', 'auto');
  const { code, report } = reportOf(await run.done);
  expect([code, report.status, report.failures]).toEqual([0, 'complete', []]);
  expect(report.follow?.cutover).toMatchObject({ lateWrites: 0, source: 'refuses writes' });
  await expectAll(counters, stage);
  const left = await queue().client.keys('cluster-import:*');
  expect(left.filter((key) => /:(jobs:cluster|orders|journal|said)/.test(key))).toEqual([]);
});

it('goes on with another worker when one dies, in the hold as well', async () => {
  const counters = all().map(counterAt);
  const command = waitingCommand(runs.folder);
  // Both are needed for three sources, however quick one of them is.
  const first = await startWorker(1);
  await startWorker(2);
  const run = start(...command.words);
  await until('following');
  const { ended: trying } = await runs.hold();
  expect(jobsOf(first.pid)).toHaveLength(1);
  first.signal('SIGKILL');
  const { code, stderr } = await trying;
  expect(code).toBe(2);
  expect(stderr).toContain('says nothing');
  await expectWrites(counters);
  const other = await startWorker(1);
  await other.output(/importing .* attempt=2/);
  await until('following');
  command.goOn();
  const { code: ended, report } = reportOf(await runs.cutOver(run));
  expect(ended).toBe(0);
  expect(report.failures).toEqual([]);
  await expectAll(counters, stage);
});

it('goes on when the coordinator was killed', async () => {
  const counters = all().map(counterAt);
  await startWorker(3);
  const killed = start('--key-prefix', '{from}:');
  await until('following');
  killed.signal('SIGKILL');
  await killed.done;
  await expectWrites(counters);
  const run = start('--key-prefix', '{from}:', '--cutover', 'auto');
  const { code, report } = reportOf(await run.done);
  expect(code).toBe(0);
  // What was copied under the coordinator that was killed counts.
  expect(report.keys.scanned).toBe(counters.length);
  await expectAll(counters, stage, ({ address }) => `${address}:`);
});
