/** A cluster that goes down midway: said once, nothing counted as failed, and the same command goes on later. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { startCli } from '../../support/cli.js';
import { runJson } from '../../support/reports.js';
import { startCluster, type TestCluster } from '../../support/cluster.js';
import { setFolder } from '../../support/folder.js';
import { type Server, startServer } from '../../support/servers.js';

const keys = 30_000;
const newPath = setFolder();
let source: Server;
let cluster: TestCluster;
beforeAll(async () => {
  [source, cluster] = await Promise.all([startServer(), startCluster({ nodeTimeoutMs: 2000 })]);
});
afterAll(() => Promise.all([source.stop(), cluster.stop()]));

it('ends with exit code 3 in one sentence, and is gone on with when the cluster is up', async () => {
  await fillStrings(source, { count: keys, valueBytes: 16 });
  const words = ['--from', source.address, '--to', cluster.seed, '--mover', 'relay'];
  const state = ['--state', newPath('journal')];
  const run = startCli([
    ...words,
    ...state,
    '--max-rate',
    '3000',
    '--retry-for',
    '12s',
    '--json',
    '--log-level',
    'debug',
  ]);
  await run.output(/finds the run/);
  const [, dead] = cluster.masters;
  if (!dead) throw new Error('there is no second master');
  await dead.crash();
  const { code, stdout, stderr } = await run.done;
  const report = JSON.parse(stdout) as Record<string, unknown>;
  expect({ code, status: report['status'] }).toEqual({ code: 3, status: 'failed' });
  expect(report['error']).toMatch(
    /^The cluster has been down for \d+ s \(.*CLUSTERDOWN.*\): bring it up, then run the same command again\.$/,
  );
  // Nothing was given up key by key, and nothing was said over and over.
  expect(report['keys']).toMatchObject({ failed: 0, conflicting: 0 });
  expect(stderr.match(/WARNING: The cluster is down/g)).toHaveLength(1);
  expect(stderr.match(new RegExp(`${dead.address} refuses keys`, 'g'))).toHaveLength(1);
  expect(stderr).not.toContain('giving up on');

  await dead.revive();
  const again = await runJson([...words, ...state, '--json']);
  expect([again.code, again.report.status]).toEqual([0, 'complete']);
  expect(again.report.accounted).toEqual({ keys, of: keys, runs: 2 });
  expect(again.report.held?.sources.now).toBe(0);
});
