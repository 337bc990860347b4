/** The same run as a function: what programs get. */
import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import {
  importKeys,
  PreflightError,
  type Snapshot,
  startImport,
  StoppedError,
  UsageError,
} from '../../../src/index.js';
import { fillMixed } from '../../support/bulk.js';
import { snapshot } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { stallAfter } from '../../support/hold.js';
import { startProxy } from '../../support/proxy.js';
import { expectSums } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { stateFolder } from '../../support/state.js';

const stage = setStage();
const ends = () => ({ from: stage.source.address, to: stage.cluster.seed });

it('gives back the report', async () => {
  const count = await fillEveryType(stage.source.client);
  const before = await snapshot(stage.source.client);
  const report = await importKeys(ends());
  expectSums(report);
  expect(report).toMatchObject({ status: 'complete', keys: { moved: count } });
  expect(await stage.missingIn(before)).toEqual([]);
});

it('rejects with an error that can be told apart, when it could not start', async () => {
  await stage.source.client.set('x', 'z');
  await stage.cluster.clientFor('x').set('x', 'y');
  await expect(importKeys(ends())).rejects.toBeInstanceOf(PreflightError);
  await expect(importKeys({ ...ends(), from: 'nonsense' })).rejects.toBeInstanceOf(UsageError);
  const surplus = { ...ends(), nope: 1 };
  await expect(importKeys(surplus)).rejects.toThrow(/nope/);
});

it('stops when its signal says so', async () => {
  const proxy = await startProxy(stage.source);
  try {
    const held = stallAfter(proxy, 50_000);
    await fillMixed(stage.source, 20_000);
    const stop = new AbortController();
    const running = importKeys({ ...ends(), from: proxy.address }, { signal: stop.signal });
    await held;
    stop.abort();
    proxy.resume();
    const report = await running;
    expectSums(report);
    expect(report.status).toBe('interrupted');
    expect(await stage.source.client.dbsize()).toBe(20_000 - report.keys.moved);
    expect(await stage.cluster.size()).toBe(report.keys.moved);
  } finally {
    await proxy.stop();
  }
});

/** What Node keeps open besides what servers are reached by. */
const opened = (): readonly string[] =>
  process
    .getActiveResourcesInfo()
    .filter((name) => /MessagePort|Worker|PipeServer|TCPServer/.test(name))
    .sort();

it('writes no file, listens nowhere and starts no thread unless it is asked to', async () => {
  const proxy = await startProxy(stage.source);
  try {
    const held = stallAfter(proxy, 50_000);
    await fillMixed(stage.source, 20_000);
    const before = opened();
    const run = startImport({ ...ends(), from: proxy.address });
    await held;
    expect(opened()).toEqual(before);
    expect(existsSync(stateFolder)).toBe(false);
    proxy.resume();
    expect((await run.report).status).toBe('complete');
    expect(existsSync(stateFolder)).toBe(false);
  } finally {
    await proxy.stop();
  }
});

it('keeps a journal and can be found, if it is asked to', async () => {
  await fillMixed(stage.source, 1000);
  const run = startImport({ ...ends(), state: true, control: true });
  let isThere = false;
  run.on('start', () => {
    isThere = existsSync(stateFolder);
  });
  expect((await run.report).status).toBe('complete');
  expect(isThere).toBe(true);
});

it('tells how it stands, is held and goes on, in terms that JSON can hold', async () => {
  await fillMixed(stage.source, 2000);
  const run = startImport(ends());
  const events: string[] = [];
  for (const name of ['start', 'failure', 'end', 'error'] as const) {
    run.on(name, () => {
      events.push(name);
    });
  }
  run.limit({ keysPerSecond: 1_000_000, bytesPerSecond: '1gb' });
  run.pause();
  const seen: Snapshot[] = [];
  for await (const now of run.progress(10)) {
    seen.push(now);
    if (seen.length === 3) run.resume();
  }
  const report = await run.report;
  expect(seen.slice(0, 3).map(({ paused, report: { keys } }) => [paused, keys.moved])).toEqual([
    [true, 0],
    [true, 0],
    [true, 0],
  ]);
  expect(seen[0]?.limits).toMatchObject({ keysPerSecond: 1_000_000, bytesPerSecond: 1024 ** 3 });
  expect(seen.at(-1)?.report).toEqual(report);
  expect(report.status).toBe('complete');
  expect(events).toEqual(['start', 'end']);
  for (const now of seen) expect(JSON.parse(JSON.stringify(now))).toEqual(now);
  run.pause();
  run.limit({ keysPerSecond: 1 });
});

it('names keys that stay, as the report does', async () => {
  const key = Buffer.from([0xff, 0x00]);
  await stage.source.client.set(key, 'ours');
  for (const { client } of stage.cluster.masters)
    await client.set(key, 'theirs').catch(() => undefined);
  const run = startImport({ ...ends(), replace: false });
  const failures: unknown[] = [];
  run.on('failure', (failure) => failures.push(failure));
  const report = await run.report;
  expect(failures).toMatchObject([{ key: '/wA=', keyEncoding: 'base64', class: 'conflict' }]);
  expect(report.failures).toMatchObject(failures);
});

it('says everywhere that it could not start', async () => {
  const run = startImport({ ...ends(), from: 'nonsense' });
  const heard: Error[] = [];
  run.on('error', (error) => heard.push(error));
  await expect(run.progress()[Symbol.asyncIterator]().next()).rejects.toBeInstanceOf(UsageError);
  await expect(run.report).rejects.toBeInstanceOf(UsageError);
  expect(heard).toHaveLength(1);
  expect(() => {
    run.limit({ keysPerSecond: 0.5 });
  }).toThrow(/^keysPerSecond must be/);
  expect(() => run.progress(0)).toThrow(UsageError);
});

it('rejects with StoppedError when it is stopped before the start', async () => {
  await fillMixed(stage.source, 100);
  const run = startImport(ends());
  run.stop();
  await expect(run.report).rejects.toBeInstanceOf(StoppedError);
  expect(await stage.source.client.dbsize()).toBe(100);
});
