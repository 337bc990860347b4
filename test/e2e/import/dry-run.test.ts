/** Counts, and changes nothing on either side. */
import { expect, it } from 'vitest';
import { fillMixed } from '../../support/bulk.js';
import { runCli } from '../../support/cli.js';
import { snapshot } from '../../support/compare.js';
import { setStage } from '../../support/stage.js';
import type { Report } from '../../../src/report.js';

const stage = setStage();

async function dryRun(...flags: string[]): Promise<Report> {
  const args = [...stage.endpoints, '--dry-run', '--json', '--quiet', ...flags];
  const { code, stdout, stderr } = await runCli(args);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout) as Report;
}

it('counts keys by node and type, and what the cluster has already', async () => {
  await fillMixed(stage.source, 3000);
  const before = await snapshot(stage.source.client);
  const types: Record<string, number> = {};
  for (const { type } of before.values()) types[type] = (types[type] ?? 0) + 1;
  const [key = ''] = before.keys();
  await stage.cluster.clientFor(key).set(key, 'of the cluster');

  const report = await dryRun();
  expect(report).toMatchObject({
    status: 'complete',
    mode: 'dry-run',
    keys: { scanned: before.size, moved: 0, conflicting: 0, failed: 0 },
    found: { types, present: 1 },
  });
  expect(report.nodes).toHaveLength(3);
  expect(report.nodes.map(({ address }) => address).sort()).toEqual(
    stage.cluster.masters.map(({ address }) => address).sort(),
  );
  expect(report.nodes.reduce((sum, { keys }) => sum + keys, 0)).toBe(before.size);
  expect(await stage.changedAtSource(before)).toEqual([]);
  expect(await stage.cluster.size()).toBe(1);
});

it('counts what is selected, and needs no word on what to replace', async () => {
  await stage.source.client.mset('a:1', 1, 'a:2', 2, 'b:1', 3);
  await stage.source.client.rpush('a:list', 1);
  await stage.cluster.clientFor('b:1').set('b:1', 'of the cluster');
  const { found, keys } = await dryRun('--match', 'a:*', '--type', 'string');
  expect(keys.scanned).toBe(2);
  expect(found).toEqual({ types: { string: 2 }, present: 0 });
});

it('is told for people', async () => {
  await stage.source.client.mset('a', 1, 'b', 2);
  await stage.source.client.sadd('set', 1);
  await stage.cluster.clientFor('a').set('a', 'of the cluster');
  const { stdout } = await runCli([...stage.endpoints, '--dry-run', '--quiet']);
  expect(stdout).toMatch(/^✓ Dry run: 3 keys counted, nothing moved/);
  expect(stdout).toMatch(/^ {2}keys +3 /m);
  expect(stdout).toMatch(/^ {2}string +2$/m);
  expect(stdout).toMatch(/^ {2}set +1$/m);
  expect(stdout).toMatch(/^ {2}present +1 +in the cluster already$/m);
  expect(stdout).toMatch(/an import needs --replace to overwrite them, or --no-replace/);
});
