/** Imports of dumps that don't come to their end at once: stopped, killed, or of files that are too new. */
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { findRedis } from '../../../scripts/find-redis.mjs';
import { fillStrings } from '../../support/bulk.js';
import { runCli, startCli } from '../../support/cli.js';
import { snapshot } from '../../support/compare.js';
import type { Contents } from '../../support/contents.js';
import { setFolder } from '../../support/folder.js';
import { saveTo } from '../../support/rdb.js';
import { runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const path = setFolder();
const keys = 12_000;

it.each(['SIGINT', 'SIGKILL'] as const)('goes on after %s, with two files', async (signal) => {
  const { client } = stage.source;
  const files: string[] = [];
  const before = new Map<string, Contents>();
  for (const prefix of ['one:', 'two:']) {
    await client.flushall();
    await fillStrings(stage.source, { count: keys / 2, valueBytes: 64, prefix });
    for (const [key, contents] of await snapshot(client)) before.set(key, contents);
    files.push(await saveTo(path('dump.rdb'), stage.source));
  }
  const args = [
    ...files.flatMap((file) => ['--from', file]),
    ...['--to', stage.cluster.seed, '--state', path('journal')],
  ];
  const run = startCli([...args, '--max-rate', '1000', '--quiet']);
  await waitFor('half of them', async () => (await stage.cluster.size()) > keys / 2);
  run.signal(signal);
  expect((await run.done).code).toBe(signal === 'SIGINT' ? 130 : undefined);
  const arrived = await stage.cluster.size();
  expect(arrived).toBeLessThan(keys);

  const { code, report } = await runJson(args);
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  // After a clean stop nothing that had arrived is read again.
  if (signal === 'SIGINT') expect(report.keys.scanned).toBe(keys - arrived);
  expect(await stage.missingIn(before)).toEqual([]);
});

it.each(['plain', 'packed'])(
  'ends though a node was given up that has large values of a %s one',
  async (kind) => {
    const { client } = stage.source;
    for (let at = 0; at < 60; at++) {
      await client.set(`large:${String(at)}`, randomBytes(400_000));
    }
    const file = await saveTo(path('dump.rdb'), stage.source);
    const packed = path('large.rdb.gz');
    await writeFile(packed, gzipSync(await readFile(file), { level: 1 }));
    const [full] = stage.cluster.masters;
    await full?.client.config('SET', 'maxmemory', '1');
    const from = kind === 'packed' ? packed : file;
    const args = ['--from', from, '--to', stage.cluster.seed];
    try {
      const { code, report } = await runJson([...args, '--retry-for', '300ms', '--max-rate', '30']);
      expect(code).toBe(1);
      expect(report.keys.failed).toBeGreaterThan(4);
      expect(report.keys.moved + report.keys.failed).toBe(60);
      expect(new Set(report.failures.map((failure) => failure.class))).not.toContain('source');
    } finally {
      await full?.client.config('SET', 'maxmemory', '0');
    }
    const { code } = await runJson(args);
    expect(code).toBe(0);
    expect(await stage.cluster.size()).toBe(60);
  },
);

it('tells of what a dump has that is too new, and has it loaded by the server that was named', async () => {
  const file = fileURLToPath(new URL('../../fuzz/dump/specimens/version-12.rdb', import.meta.url));
  const args = ['--from', file, '--to', stage.cluster.seed];
  const { code, report } = await runJson(args);
  expect(code).toBe(1);
  expect(report.keys).toMatchObject({ moved: 20, failed: 4 });
  for (const failure of report.failures) {
    expect(failure.class).toBe('version');
    expect(failure.message).toContain('as new as the file, named in --redis-server');
  }
  // One that is too old for the file as well says so.
  const server = findRedis('redis-server') ?? '';
  const packed = path('version-12.rdb.gz');
  await writeFile(packed, gzipSync(await readFile(file)));
  for (const from of [file, packed]) {
    const loaded = ['--from', from, '--to', stage.cluster.seed, '--replace'];
    const refused = await runCli([...loaded, '--redis-server', server]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("Can't handle RDB format version 12");
  }
});
