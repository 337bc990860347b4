/**
 * Nodes that refuse payloads although no version tells so: values get there element by element,
 * whether that shows before the start or with the first values, and whoever carries them.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed } from '../../support/bulk.js';
import { runCli } from '../../support/cli.js';
import { differences, snapshot } from '../../support/compare.js';
import { type Refusing, startRefusing } from '../../support/refusing.js';
import { runJson } from '../../support/reports.js';
import { type Server, startServer } from '../../support/servers.js';
import { forgetRuns } from '../../support/state.js';

let source: Server;
let target: Refusing;

beforeAll(async () => {
  [source, target] = await Promise.all([startServer(), startRefusing()]);
});
afterAll(async () => {
  await Promise.all([source.stop(), target.stop()]);
});
beforeEach(async () => {
  forgetRuns();
  await Promise.all([source.client.flushall(), target.cluster.flush()]);
});

async function expectMove(count: number, args: readonly string[]) {
  await fillMixed(source, count);
  const before = await snapshot(source.client);
  const { code, report } = await runJson([
    ...['--from', source.address, '--to', target.proxy.address],
    ...args,
  ]);
  expect(report.failures).toEqual([]);
  expect(report.keys).toMatchObject({ scanned: count, moved: count });
  expect(code).toBe(0);
  expect(differences(before, await snapshot(target.node.client))).toEqual([]);
  expect(await source.client.dbsize()).toBe(args.includes('--copy') ? count : 0);
  return report;
}

describe('before the start', () => {
  beforeEach(() => {
    target.refuse('all');
  });

  it('it is found out, whatever the versions say, and nothing is written', async () => {
    await fillMixed(source, 60);
    const endpoints = ['--from', source.address, '--to', target.proxy.address];
    expect((await runCli([...endpoints, '--dry-run'])).code).toBe(0);
    expect(await target.cluster.size()).toBe(0);
    await source.client.flushall();
    const report = await expectMove(600, []);
    expect(report.mover).toBe('relay');
    expect(report.moverReason).toMatch(/element by element.*DUMP payload version/);
    const stats = await target.node.client.info('commandstats');
    expect(stats).not.toMatch(/cmdstat_del:/);
  });
});

describe('midway', () => {
  beforeEach(() => {
    target.refuse('trialPasses');
  });

  it.each([['relay'], ['migrate'], ['auto']])('%s goes on', async (mover) => {
    await expectMove(900, ['--mover', mover]);
  });

  it.each([['relay'], ['migrate']])('%s goes on copying', async (mover) => {
    await expectMove(300, ['--mover', mover, '--copy']);
  });

  it('what is moved otherwise is not taken for the writes of others', async () => {
    const report = await expectMove(4000, ['--mover', 'relay']);
    expect(report.retries).toBe(0);
  });
});
