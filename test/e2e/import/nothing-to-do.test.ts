/** Sources without a key: there is nothing to do and nothing to decide, whatever the cluster holds. */
import { existsSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { runCli, startCli } from '../../support/cli.js';
import { setFolder } from '../../support/folder.js';
import { findRedis } from '../../../scripts/find-redis.mjs';
import { fillStrings } from '../../support/bulk.js';
import { saveTo } from '../../support/rdb.js';
import { runJson } from '../../support/reports.js';
import { startServer, using } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const path = setFolder();
const to = () => ['--to', stage.cluster.seed];

async function expectNothing(args: readonly string[], names: string): Promise<void> {
  const before = await stage.cluster.size();
  const journal = path('journal');
  const { code, stdout, stderr } = await runCli([...args, ...to(), '--state', journal]);
  expect(stdout).toBe(`✓ Nothing to do: ${names} empty.\n`);
  expect(stderr).not.toContain('--replace');
  expect(code).toBe(0);
  const asked = await runJson([...args, ...to()]);
  expect(asked.code).toBe(0);
  expect(asked.report).toMatchObject({ status: 'complete', empty: true });
  expect(asked.report.keys).toEqual({ scanned: 0, moved: 0, gone: 0, conflicting: 0, failed: 0 });
  expect(await stage.cluster.size()).toBe(before);
  expect(existsSync(journal)).toBe(false);
}

describe.each([0, 1])('with %i keys in the cluster', (count) => {
  beforeEach(async () => {
    if (count > 0) await stage.cluster.clientFor('key').set('key', 'of the cluster');
  });

  it('a server', async () => {
    await expectNothing(['--from', stage.source.address], `${stage.source.address}/0 is`);
  });

  it('a database, and all of them', async () => {
    const { client, address } = stage.source;
    await expectNothing(['--from', address, '--db', 'all'], `${address}/0 is`);
    await client.select(3);
    await client.set('other', 'x');
    await client.select(0);
    await expectNothing(['--from', `${address}/1`], `${address}/1 is`);
    await expectNothing(['--from', address, '--db', '0,2'], `${address}/0, ${address}/2 are`);
  });

  it('several servers', async () => {
    await using(startServer(), async (other) => {
      const all = ['--from', stage.source.address, '--from', other.address];
      await expectNothing(all, `${stage.source.address}/0, ${other.address}/0 are`);
    });
  });

  it('a server, for some keys by name', async () => {
    const names = path('names');
    writeFileSync(names, '');
    await expectNothing(
      ['--from', stage.source.address, '--only-keys', names],
      `${stage.source.address}/0 is`,
    );
    await stage.source.client.set('other', 'x');
    const { code, report } = await runJson([...stage.endpoints, '--only-keys', names]);
    expect([code, report.status, report.keys.scanned]).toEqual([0, 'complete', 0]);
    expect(await stage.source.client.dbsize()).toBe(1);
  });

  it('files', async () => {
    const file = await saveTo(path('dump.rdb'), stage.source);
    await expectNothing(['--from', file], `${file} is`);
    const commands = path('appendonly.aof');
    writeFileSync(commands, '');
    // It need not be on the PATH.
    const server = ['--redis-server', findRedis('redis-server') ?? ''];
    await expectNothing(['--from', commands, ...server], `${commands} is`);
  });
});

it('is said of a job that has finished', async () => {
  await fillStrings(stage.source, { count: 100, valueBytes: 10 });
  expect((await runJson(stage.endpoints)).code).toBe(0);
  await expectNothing(['--from', stage.source.address], `${stage.source.address}/0 is`);
  expect(await stage.cluster.size()).toBe(100);
});

it('is not said where an earlier run has not finished', async () => {
  await fillStrings(stage.source, { count: 3000, valueBytes: 10 });
  const run = startCli([...stage.endpoints, '--max-rate', '500', '--quiet']);
  await waitFor('some keys', async () => (await stage.cluster.size()) > 100);
  run.signal('SIGINT');
  expect((await run.done).code).toBe(130);
  await stage.source.client.flushall();
  const { code, stdout } = await runCli(stage.endpoints);
  expect(stdout).toContain('It went on from an earlier run');
  expect(code).toBe(0);
});

it('asks as ever where one source holds keys', async () => {
  await stage.cluster.clientFor('key').set('key', 'of the cluster');
  await using(startServer(), async (other) => {
    await other.client.set('key', 'x');
    const { code, stderr } = await runCli([...stage.endpoints, '--from', other.address]);
    expect(stderr).toContain('--replace');
    expect(code).toBe(2);
  });
});
