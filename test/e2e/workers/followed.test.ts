/** `--follow` with `--workers`: sources that are followed by several processes have one cutover. */
import { afterEach, expect, it } from 'vitest';
import { fillMixed } from '../../support/bulk.js';
import type { CliRun } from '../../support/cli.js';
import { counterAt, expectAll, expectWrites, takesWrites } from '../../support/counters.js';
import { followingRuns, waitingCommand } from '../../support/following.js';
import { isGone, jobsOf } from '../../support/job-processes.js';
import { reportOf } from '../../support/reports.js';
import { setShards } from '../../support/shards.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const { all, endpoints } = setShards(stage);
const runs = followingRuns();
const { ctl, status, until } = runs;
const workers = ['--workers', '2'];

afterEach(async () => {
  // A cutover leaves them refusing writes.
  for (const { client } of all()) await client.config('SET', 'min-replicas-to-write', 0);
});

const valueOf = (key: string) => stage.cluster.clientFor(key).get(key);

function processesOf(run: CliRun): number[] {
  return jobsOf(run.pid).filter((pid) => !isGone(pid));
}

it('cuts over at one moment, with everything that each source has acknowledged', async () => {
  await fillMixed(stage.source, 2000);
  const counters = all().map(counterAt);
  const run = runs.start(endpoints(), ...workers);
  await until('following');
  expect(processesOf(run)).toHaveLength(2);
  expect((await status())?.follow?.feed).toBe('replication');
  const { code, report } = reportOf(await runs.cutOver(run));
  expect([code, report.status, report.failures]).toEqual([0, 'complete', []]);
  expect(report.follow?.cutover).toMatchObject({
    fence: 'pause',
    lateWrites: 0,
    source: 'refuses writes',
    minReplicasToWrite: Object.fromEntries(all().map(({ address }) => [address, 0])),
  });
  await expectAll(counters, stage);
  expect(await stage.cluster.size()).toBe(2000 + counters.length);
});

it('goes on with another process when one is killed', async () => {
  await fillMixed(stage.source, 2000);
  const counters = all().map(counterAt);
  const run = runs.start(endpoints(), ...workers);
  await until('following');
  const count = 2000 + counters.length;
  // What a process has not told yet when it dies is not counted.
  await waitFor('all to be counted', async () => (await status())?.report.keys.scanned === count);
  for (const pid of processesOf(run)) {
    const before = processesOf(run);
    process.kill(pid, 'SIGKILL');
    await waitFor('another process', () => processesOf(run).some((one) => !before.includes(one)));
    await until('following');
    await expectWrites(counters);
  }
  const { code, report, stderr } = reportOf(await runs.cutOver(run));
  expect(stderr).toContain('died (SIGKILL)');
  expect([code, report.status, report.failures]).toEqual([0, 'complete', []]);
  // Their journals said where to go on.
  expect(report.follow?.gaps).toBe(0);
  expect(report.keys.scanned).toBe(count);
  await expectAll(counters, stage);
});

it.each(['pause', 'refuse'])(
  'lets all go on writing when a process dies in the hold (%s)',
  async (fence) => {
    const command = waitingCommand(runs.folder);
    const run = runs.start(endpoints(), ...workers, '--fence', fence, ...command.words);
    await until('following');
    const { ended: trying } = await runs.hold();
    process.kill(processesOf(run)[0] as number, 'SIGKILL');
    const { code, stderr } = await trying;
    expect(code).toBe(2);
    expect(stderr).toContain('No cutover: the process that followed');
    // As soon as another one has taken up what the dead one held.
    for (const server of all()) {
      await waitFor('writes to go on', () => takesWrites(server));
      await server.client.del(`after:${String(server.port)}`);
    }
    const counters = all().map(counterAt);
    await expectWrites(counters);
    await until('following');
    command.goOn();
    expect((await runs.cutOver(run)).code).toBe(0);
    await expectAll(counters, stage);
  },
);

it('lets all go on writing when a process falls silent in the hold', async () => {
  const command = waitingCommand(runs.folder);
  const run = runs.start(endpoints(), ...workers, ...command.words);
  await until('following');
  const counters = all().map(counterAt);
  const { ended: trying } = await runs.hold();
  const [silent] = processesOf(run) as [number];
  process.kill(silent, 'SIGSTOP');
  const { code, stderr } = await trying;
  expect(code).toBe(2);
  expect(stderr).toContain('says nothing');
  await expectWrites(counters);
  process.kill(silent, 'SIGCONT');
  command.goOn();
  expect((await runs.cutOver(run)).code).toBe(0);
  await expectAll(counters, stage);
});

it('lets all go on writing when the run itself falls silent in the hold, or dies', async () => {
  const command = waitingCommand(runs.folder);
  const run = runs.start(endpoints(), ...workers, '--fence', 'refuse', ...command.words);
  await until('following');
  const { ended: trying } = await runs.hold();
  const processes = processesOf(run);
  run.signal('SIGSTOP');
  for (const server of all()) await waitFor('writes to go on', () => takesWrites(server));
  run.signal('SIGKILL');
  await run.done;
  await trying;
  await waitFor('its processes to end', () => processes.every(isGone));
});

it('lets writes go on by ctl release', async () => {
  const command = waitingCommand(runs.folder);
  const run = runs.start(endpoints(), ...workers, ...command.words);
  await until('following');
  const counters = all().map(counterAt);
  const { ended: trying } = await runs.hold();
  expect((await ctl('release')).code).toBe(0);
  const { code, stderr } = await trying;
  expect(code).toBe(2);
  expect(stderr).toContain('`ctl release` has let writes go on');
  await expectWrites(counters);
  command.goOn();
  expect((await runs.cutOver(run)).code).toBe(0);
  await expectAll(counters, stage);
});

it('is stopped as one run, and goes on', async () => {
  const words = [...endpoints(), '--key-prefix', '{from}:'];
  for (const { client } of all()) await client.mset('a', 'x', 'b', 'x');
  const run = runs.start(words, ...workers);
  await until('following');
  run.signal('SIGINT');
  expect((await run.done).code).toBe(130);
  await stage.source.client.set('a', 'y');
  for (const { client } of all()) await client.del('b');
  const { code, report } = reportOf(await runs.start(words, ...workers, '--cutover', 'auto').done);
  expect(code).toBe(0);
  expect(report).toMatchObject({
    keys: { scanned: 0 },
    follow: { copiedAgain: 1, deleted: 3, gaps: 0 },
  });
  expect(await valueOf(`${stage.source.address}:a`)).toBe('y');
  expect(await stage.cluster.size()).toBe(3);
});

it.each([['one process'], ['several', ...workers]])(
  'finishes a cutover that was killed midway, with %s',
  async (_, ...words) => {
    for (const server of all()) await server.client.set(`a:${String(server.port)}`, 'x');
    const killed = runs.start(endpoints(), ...words);
    await until('following');
    killed.signal('SIGKILL');
    await killed.done;
    // As far as it had come.
    await stage.source.client.config('SET', 'min-replicas-to-write', 1_000_001);
    const { code, stderr } = await runs.start(endpoints(), ...words).done;
    expect(code).toBe(2);
    expect(stderr).toContain(`killed midway: ${stage.source.address} refused writes`);
    for (const { client } of all())
      await expect(client.set('b', 'x')).rejects.toThrow('NOREPLICAS');
    const again = await runs.start(endpoints(), ...words).done;
    expect(again.stderr).toContain('the cluster has taken over');
  },
);

it('is not begun where a source can not be followed', async () => {
  await stage.source.client.config('SET', 'min-replicas-to-write', 1_000_001);
  const { code, stderr } = await runs.start(endpoints(), ...workers).done;
  expect(code).toBe(2);
  expect(stderr).toContain('as a cutover leaves it');
});
