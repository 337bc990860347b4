/** The command in one file (npm run executable), alone in an empty folder, on a PATH without Node. */
import { type ChildProcess, execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { version } from '../../src/installed.js';
import { fillMixed } from '../support/bulk.js';
import { snapshot } from '../support/compare.js';
import { startServer, using } from '../support/servers.js';
import { setStage } from '../support/stage.js';
import { waitFor } from '../support/wait.js';
import { expectWatchedMove } from '../support/watched-move.js';

const stage = setStage();
const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
let folder = '';
let program = '';
const children: ChildProcess[] = [];

function start(...words: readonly string[]) {
  const env = {
    ...{ PATH: folder, HOME: folder, XDG_RUNTIME_DIR: folder },
    XDG_STATE_HOME: join(folder, 'state'),
  };
  const running = run(program, [...words], { cwd: folder, env });
  children.push(running.child);
  return running;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cluster-import-executable-'));
  program = join(folder, 'cluster-import');
  await run(process.execPath, ['scripts/build-executable.mjs'], { cwd: root });
  copyFileSync(join(root, 'dist/cluster-import'), program);
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

it('says its version', async () => {
  expect(await start('--version')).toEqual({ stdout: `${version}\n`, stderr: '' });
});

it('moves data, sees what clients of the source feel, and serves the page meanwhile', () =>
  expectWatchedMove(
    stage,
    // So slow that it is not over before it is told to hurry.
    (words) => start(...words, '--max-rate', '1'),
    async (at) => {
      await waitFor('the source to have been asked', async () => {
        const metrics = await (await fetch(`${at}/metrics`)).text();
        return /^cluster_import_source_latency_seconds [\d.e-]+$/m.test(metrics);
      });
      await start('ctl', '--rate', 'none');
    },
  ));

it('runs jobs in processes of their own', async () => {
  await fillMixed(stage.source, 200);
  const before = await snapshot(stage.source.client);
  const { stdout } = await start(...stage.endpoints, '--workers', '2', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ status: 'complete', keys: { moved: before.size } });
  expect(await stage.missingIn(before)).toEqual([]);
});

it('gives jobs to a queue, and takes them', async () => {
  await fillMixed(stage.source, 200);
  const before = await snapshot(stage.source.client);
  await using(startServer(), async (queue) => {
    const worker = start('worker', '--queue', queue.address);
    const ended = worker.catch((error: unknown) => error as { readonly code: number });
    const { stdout } = await start(...stage.endpoints, '--queue', queue.address, '--json');
    expect(JSON.parse(stdout)).toMatchObject({ status: 'complete', keys: { moved: before.size } });
    worker.child.kill('SIGTERM');
    await ended;
  });
  expect(await stage.missingIn(before)).toEqual([]);
});
