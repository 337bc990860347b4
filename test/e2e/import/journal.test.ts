/**
 * The very same command goes on after anything, and what it goes by is refused when it can't be
 * believed.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed, fillStrings } from '../../support/bulk.js';
import { runCli, startCli } from '../../support/cli.js';
import {
  differences,
  digestConfig,
  digestOf,
  snapshot,
  snapshotOfAll,
} from '../../support/compare.js';
import { setFolder } from '../../support/folder.js';
import { unlessEnded } from '../../support/halfway.js';
import { stallAfter } from '../../support/hold.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { runJson } from '../../support/reports.js';
import { leftAlone } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage({ source: { config: digestConfig }, cluster: { config: digestConfig } });
const path = setFolder();
const atCluster = (key: string) => stage.cluster.clientFor(key);
let proxy: Proxy;
let state: string;

beforeEach(async () => {
  proxy = await startProxy(stage.source);
  state = path('state.json');
});
afterEach(() => proxy.stop());

const command = (...more: string[]): string[] => [
  ...['--from', proxy.address, '--to', stage.cluster.seed, '--state', state, ...more],
];

/** Slow enough for a run to be there still when it is to be killed. */
const slowly = ['--max-rate', '1000'];

/** Starts the command and ends it when so many keys have arrived. */
async function killedAfter(
  arrived: number,
  args: readonly string[],
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<void> {
  const left = (await stage.source.client.dbsize()) - arrived;
  proxy.faults.delayMs.down = 20;
  const run = startCli([...args, ...slowly, '--quiet']);
  const isLeft = async (): Promise<boolean> => (await stage.source.client.dbsize()) <= left;
  await unlessEnded(run, waitFor('so many keys to arrive', isLeft, { everyMs: 1 }));
  run.signal(signal);
  await run.done;
  proxy.faults.delayMs.down = 0;
  proxy.cut();
  const sending = args.includes('relay') ? stage.cluster.masters : [];
  await Promise.all([stage.source, ...sending].map(leftAlone));
}

describe.each(['relay', 'migrate'])('with %s', (mover) => {
  it('goes on by the very same command, however often it is killed', async () => {
    const count = 12_000;
    await fillMixed(stage.source, count);
    const before = await snapshot(stage.source.client);
    const args = command('--mover', mover);
    for (const arrived of [1, 500, 2000]) await killedAfter(arrived, args);
    const { code, report } = await runJson(args);
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    expect(report.earlier?.runs).toBe(3);
    expect(await stage.source.client.dbsize()).toBe(0);
    const clients = stage.cluster.masters.map(({ client }) => client);
    expect(differences(before, await snapshotOfAll(clients))).toEqual([]);
    // The job is done, and the next one is another.
    expect(() => statSync(state)).toThrow('ENOENT');
    expect(() => statSync(`${state}.lock`)).toThrow('ENOENT');
  });

  it.each([
    ['an empty cluster', []],
    ['a cluster with keys of its own, and --replace', ['--replace']],
  ])('never overwrites what an earlier run moved into %s', async (_, flags) => {
    if (flags.length > 0) await atCluster('own').set('own', 'of the cluster');
    await fillStrings(stage.source, { count: 20_000, valueBytes: 20 });
    const args = command('--mover', mover, ...flags);
    await killedAfter(1, args);
    // One that has left the source, which others have not yet.
    const all = await Promise.all(stage.cluster.masters.map(({ client }) => client.keys('*')));
    const left = new Set(await stage.source.client.keys('*'));
    const key = all.flat().find((one) => one !== 'own' && !left.has(one)) ?? '';
    expect(key).not.toBe('');
    const value = await atCluster(key).get(key);
    await stage.source.client.set(key, 'written again');
    if (flags.length > 0) await stage.source.client.set('own', 'of the source');
    const { code, report } = await runJson(args);
    expect(report.failures).toEqual([expect.objectContaining({ key })]);
    expect(report.keys.conflicting).toBe(1);
    expect(code).toBe(1);
    expect(await atCluster(key).get(key)).toBe(value);
    expect(await stage.source.client.get(key)).toBe('written again');
    if (flags.length > 0) expect(await atCluster('own').get('own')).toBe('of the source');
  });
});

it.each<[string, NodeJS.Signals]>([
  ['relay', 'SIGTERM'],
  ['relay', 'SIGKILL'],
  ['migrate', 'SIGTERM'],
])('replaces what it had not come to: by %s, ended by %s', async (mover, signal) => {
  // The cluster has other values of the very same keys.
  const count = 12_000;
  await fillStrings(stage.source, { count, valueBytes: 30 });
  expect((await runJson(command('--copy', '--mover', 'relay'))).code).toBe(0);
  await fillStrings(stage.source, { count, valueBytes: 20 });
  const before = await digestOf([stage.source.client]);
  const args = command('--replace', '--mover', mover);
  await killedAfter(500, args, signal);
  expect(await stage.source.client.dbsize()).toBeGreaterThan(count / 4);
  const { code, report } = await runJson(args);
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(report.earlier?.runs).toBe(1);
  expect(await stage.source.client.dbsize()).toBe(0);
  expect(await digestOf(stage.cluster.masters.map(({ client }) => client))).toBe(before);
});

it('copies from where it was, and not once more what was copied already', async () => {
  const count = 200_000;
  await fillStrings(stage.source, { count, valueBytes: 20 });
  const before = await digestOf([stage.source.client]);
  const args = command('--copy', '--mover', 'relay', '--timeout', '10m');
  interface Saved {
    readonly savedAt: string;
    readonly scans: Readonly<Record<string, unknown>>;
  }
  const saved = () => JSON.parse(readFileSync(state, 'utf8')) as Saved;

  // Positions are noted every few seconds: it is held until the time has come, and let go on a bit.
  const begun = stallAfter(proxy, 200_000);
  const run = startCli([...args, '--quiet']);
  await unlessEnded(run, begun);
  const { savedAt } = saved();
  await unlessEnded(
    run,
    waitFor('the journal to be written again', () => saved().savedAt !== savedAt),
  );
  const further = stallAfter(proxy, 3_000_000);
  proxy.resume();
  await unlessEnded(run, further);
  const isNoted = () => Object.keys(saved().scans).length > 0;
  await unlessEnded(run, waitFor('a position in the journal', isNoted));
  run.signal('SIGKILL');
  await run.done;
  proxy.cut();
  proxy.resume();

  const { code, report } = await runJson(args);
  expect(code).toBe(0);
  expect(report.keys.moved).toBeLessThan(count);
  expect(report.earlier?.moved).toBeGreaterThan(0);
  expect(await digestOf(stage.cluster.masters.map(({ client }) => client))).toBe(before);
  expect(await digestOf([stage.source.client])).toBe(before);
});

it('says in its summary that it went on', async () => {
  await fillStrings(stage.source, { count: 30_000, valueBytes: 20 });
  await killedAfter(1, command());
  const { stdout } = await runCli(command('--quiet'));
  expect(stdout).toMatch(/went on from an earlier run, which had (just begun|moved at least)/);
});

describe('the journal', () => {
  async function interrupted(): Promise<void> {
    await fillStrings(stage.source, { count: 10_000, valueBytes: 20 });
    await killedAfter(1, command());
  }

  it('can be read by its owner only, and holds no secret', async () => {
    await fillStrings(stage.source, { count: 30_000, valueBytes: 20 });
    const from = `redis://default:s3cret@${proxy.address}`;
    await stage.source.client.config('SET', 'requirepass', 's3cret');
    try {
      await killedAfter(1, ['--from', from, ...command().slice(2)]);
    } finally {
      await stage.source.client.config('SET', 'requirepass', '');
    }
    expect(statSync(state).mode & 0o777).toBe(0o600);
    expect(readFileSync(state, 'utf8')).not.toContain('s3cret');
  });

  it.each<[string, (text: string) => string, string]>([
    ['is damaged', (text) => text.slice(0, 100), 'is damaged'],
    [
      'is of another version',
      (text) => text.replace('"formatVersion": 1', '"formatVersion": 9'),
      'another version',
    ],
    [
      'belongs to another source',
      (text) => text.replaceAll(proxy.address, '10.0.0.5:1'),
      '10.0.0.5:1/0',
    ],
    [
      'belongs to another cluster',
      (text) => text.replace(/[0-9a-f]{40}/g, '0'.repeat(40)),
      'another cluster',
    ],
  ])('is refused when it %s, and nothing moves', async (_, change, words) => {
    await interrupted();
    const text = readFileSync(state, 'utf8');
    const left = await stage.source.client.dbsize();
    writeFileSync(state, change(text));
    const { code, stderr } = await runCli(command('--quiet'));
    expect(stderr).toContain(words);
    expect(stderr).toContain('--state');
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(2);
    expect(await stage.source.client.dbsize()).toBe(left);
    writeFileSync(state, text);
    expect((await runJson(command())).code).toBe(0);
  });

  it('is refused where it can’t be written', async () => {
    await stage.source.client.set('key', 'value');
    writeFileSync(state, '');
    const { code, stderr } = await runCli(command('--state', `${state}/inside.json`));
    expect(stderr).toContain('--state');
    expect(code).toBe(2);
    expect(await stage.source.client.dbsize()).toBe(1);
  });

  it('is not believed of a cluster that has been emptied', async () => {
    await interrupted();
    await stage.cluster.flush();
    const { code, report } = await runJson(command());
    expect(code).toBe(0);
    expect(report.earlier).toBeUndefined();
  });
});

it('refuses a second run of the job while the first is at it', async () => {
  await fillStrings(stage.source, { count: 30_000, valueBytes: 20 });
  const held = stallAfter(proxy, 150_000);
  const first = startCli(command('--quiet', '--timeout', '10m'));
  await unlessEnded(first, held);
  // Past the proxy, whose connections stand still.
  const [, , ...rest] = command('--quiet');
  const refused = await runCli(['--from', stage.source.address, ...rest]);
  expect(refused.stderr).toContain(`process ${String(first.pid)}`);
  expect(refused.code).toBe(2);
  proxy.resume();
  expect((await first.done).code).toBe(0);
});
