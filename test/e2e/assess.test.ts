/** Assessing finds every pattern that a cluster would refuse, and invents none. */
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import type { AssessReport } from '../../src/assess/report.js';
import { runCli, startCli } from '../support/cli.js';
import { setStage } from '../support/stage.js';
import { waitFor } from '../support/wait.js';
import { expectedPatterns, playWorkload, unitCount } from '../support/workload.js';

const stage = setStage();

async function assess(
  ...flags: string[]
): Promise<{ code: number | undefined; report: AssessReport }> {
  const words = ['assess', '--from', stage.source.address, '--json', ...flags];
  const { code, stdout, stderr } = await runCli(words);
  if (stdout === '') throw new Error(stderr);
  return { code, report: JSON.parse(stdout) as AssessReport };
}

/** Until a signal ends it, once all has been seen. */
async function watching(work: () => Promise<void>): Promise<AssessReport> {
  await stage.source.client.config('SET', 'client-output-buffer-limit', 'normal 0 0 0');
  const run = startCli([
    'assess',
    '--from',
    stage.source.address,
    '--watch',
    '1h',
    '--watch-latency',
    '1h',
    '--json',
  ]);
  await waitFor('MONITOR', async () =>
    /cmd=monitor/.test(String(await stage.source.client.client('LIST'))),
  );
  await work();
  run.signal('SIGINT');
  const { stdout } = await run.done;
  return JSON.parse(stdout) as AssessReport;
}

it('finds what a cluster would refuse among 100,000 commands of 20 clients, and nothing else', async () => {
  const rounds = 3500;
  const report = await watching(() => playWorkload(stage.source, rounds * unitCount, 20));
  const found = (report.watch?.patterns ?? []).map(
    ({ trouble, kind, pattern }) => `${trouble ?? '-'} ${kind} ${pattern}`,
  );
  expect(found.sort()).toEqual([...expectedPatterns].sort());
  expect(report.watch?.commands).toBeGreaterThan(100_000);
  expect(new Set(report.watch?.patterns.map(({ count }) => count))).toEqual(new Set([rounds]));
  expect(report).toMatchObject({ status: 'cannot-move', case: 3 });
  const repairs = new Map(report.watch?.patterns.map(({ pattern, repair }) => [pattern, repair]));
  expect(repairs.get('SUNION user:<n>:a user:<n>:b')).toContain('user:{<n>}:a user:{<n>}:b');
  expect(repairs.get('MSET config:timeout page:home')).toContain('no part in common');
});

it('tells the cases apart', async () => {
  const { client } = stage.source;
  const one = await watching(async () => {
    await client.set('a', 1);
  });
  expect(one).toMatchObject({ case: 1, status: 'can-move' });
  const two = await watching(async () => {
    await client.mget('{a}:1', '{a}:2');
  });
  expect(two).toMatchObject({ case: 2, status: 'can-move' });
});

it('does not say that what it has not seen can move', async () => {
  await stage.source.client.config('RESETSTAT');
  expect(await assess()).toMatchObject({ code: 0, report: { status: 'can-move', case: 1 } });
  await stage.source.client.mget('a', 'b');
  const { code, report } = await assess();
  expect(report.status).toBe('undecided');
  expect(report.commandStats).toMatchObject([{ command: 'mget', calls: 1, concern: 'multi-key' }]);
  expect(code).toBe(1);
});

it('tells of the data, and where it would go', async () => {
  const { client } = stage.source;
  await client.config('RESETSTAT');
  await client.set('text', 'x'.repeat(100_000), 'EX', 1000);
  for (let at = 0; at < 60; at++) await client.rpush(`{tag}:list:${String(at)}`, 1, 2, 3);
  await client.select(3);
  await client.set('text', 'other');
  await client.select(0);
  const file = `${stage.source.directory}/report.html`;
  const { report } = await assess('--to', stage.cluster.seed, '--html', file);
  expect(report.data.databases).toEqual([
    { db: 0, keys: 61, expiring: 1 },
    { db: 3, keys: 1, expiring: 0 },
  ]);
  expect(report.data.collisions).toEqual([{ key: 'text', keyEncoding: 'utf8', databases: [0, 3] }]);
  expect(report.data.largest.length).toBeGreaterThan(0);
  expect(report.data.types[0]?.type).toBe('list');
  expect(report.data.loadedSlots[0]?.shape).toBe('{tag}:list:<n>');
  expect(report.nodes?.length).toBe(3);
  expect(report.nodes?.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  expect(report.status).toBe('cannot-move');
  const page = await readFile(file, 'utf8');
  expect(page).toContain('{tag}:list:&#60;n&#62;');
  expect(page).not.toMatch(/<script|src=|href=/);
});
