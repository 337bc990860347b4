/**
 * The commands of README and docs, as they are written there: each block marked `sh` is a script that
 * ends well. What is marked `sh example` needs what no test has.
 * docs/moving.md and docs/live.md have tests of their own.
 */
import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findRedis } from '../../../scripts/find-redis.mjs';
import { copyCommands } from '../../support/rdb.js';
import { fillMixed } from '../../support/bulk.js';
import { program } from '../../support/cli.js';
import { freePort } from '../../support/ports.js';
import { startServer, using } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { blocksOf, pages, readPage } from '../../unit/docs/pages.js';

const stage = setStage();
let folder = '';

const scripts = pages()
  .map((page) => ({
    page,
    blocks: blocksOf(readPage(page)).filter(({ info }) => info === 'sh'),
  }))
  .filter(({ blocks }) => blocks.length > 0);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cluster-import-docs-'));
  const own = join(folder, 'cluster-import');
  writeFileSync(own, `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
  chmodSync(own, 0o755);
  // A dump and append-only files, as the pages name them.
  await using(startServer({ config: ['appendonly yes'] }), async (server) => {
    await fillMixed(server, 600);
    await server.client.save();
    cpSync(join(server.directory, 'dump.rdb'), join(folder, 'dump.rdb'));
    copyCommands(join(folder, 'aof-1'), server);
  });
  for (const name of ['aof-2', 'aof-3']) {
    await using(startServer({ config: ['appendonly yes'] }), async (server) => {
      await server.client.set(`only in ${name}`, 'x');
      copyCommands(join(folder, name), server);
    });
  }
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe.each(scripts)('$page', ({ blocks }) => {
  it.each(blocks)('$text', async ({ text }) => {
    await fillMixed(stage.source, 600);
    await stage.source.client.config('RESETSTAT');
    const { status, output } = await run(text);
    expect(`${String(status)} ${status === 0 ? '' : output}`.trim()).toBe('0');
  });
});

/** Runs a block in the folder, with the servers of the stage under the addresses of the pages. */
async function run(block: string): Promise<{ readonly status: number; readonly output: string }> {
  const { source, cluster } = stage;
  const seedPort = cluster.seed.split(':').at(-1) ?? '';
  const eachNode = cluster.nodes.map(({ port }) => `redis-cli -p ${String(port)} $1`).join('\n');
  const script = block
    // A line for one node that is meant for each.
    .replaceAll(/^redis-cli -h 10\.0\.1\.1 -p 7000 (.*)$/gm, eachNode)
    .replaceAll('-h 10.0.0.5', `-p ${String(source.port)}`)
    .replaceAll('10.0.0.5:6379', source.address)
    .replaceAll('10.0.1.1:7000', `127.0.0.1:${seedPort}`)
    .replaceAll('--metrics 9090', `--metrics ${String(await freePort())}`);
  // They may lie apart: many machines have only the one.
  const tools = (['redis-cli', 'redis-server'] as const).map((name) =>
    dirname(findRedis(name) ?? ''),
  );
  const path = [folder, ...tools, process.env['PATH']];
  return new Promise((resolve) => {
    execFile(
      'sh',
      ['-e', '-c', script],
      { cwd: folder, env: { ...process.env, PATH: path.join(delimiter) } },
      (error, stdout, stderr) => {
        resolve({ status: Number(error?.code ?? 0), output: stdout + stderr });
      },
    );
  });
}
