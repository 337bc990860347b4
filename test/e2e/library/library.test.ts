/** The same run as a function: what programs get. */
import { expect, it } from 'vitest';
import { importKeys, PreflightError, UsageError } from '../../../src/index.js';
import { fillMixed } from '../../support/bulk.js';
import { snapshot } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { stallAfter } from '../../support/hold.js';
import { startProxy } from '../../support/proxy.js';
import { expectSums } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';

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
