/** Append-only files as sources: what their commands did arrives, and nothing stays behind. */
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { findRedis } from '../../../scripts/find-redis.mjs';
import { fillStrings } from '../../support/bulk.js';
import { copyCommands, rewrite } from '../../support/rdb.js';
import { runCli, startCli } from '../../support/cli.js';
import { snapshot } from '../../support/compare.js';
import type { Contents } from '../../support/contents.js';
import { fillEveryType } from '../../support/every-type.js';
import { setFolder } from '../../support/folder.js';
import { reportOf, runJson } from '../../support/reports.js';
import { type Server, startServer, using } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const path = setFolder();
const server = ['--redis-server', findRedis('redis-server') ?? ''];
const startWriting = (): Promise<Server> =>
  startServer({ config: ['appendonly yes', 'aof-use-rdb-preamble yes', 'save ""'] });

/** The commands since the start, as one file. */
const commandsOf = (from: Server): string => copyCommands(path('appendonly.aof'), from);

const to = (): string[] => ['--to', stage.cluster.seed, ...server];

it('imports aof-1 … aof-3 of masters that are gone', async () => {
  const files: string[] = [];
  const all = new Map<string, Contents>();
  for (const nth of [1, 2, 3]) {
    await using(startWriting(), async (master) => {
      const { client } = master;
      await client.set(`before:${String(nth)}`, 'x');
      // Over slots, which no node of a cluster would do.
      await client.rename(`before:${String(nth)}`, `after:${String(nth)}`);
      await client.sadd(`one:${String(nth)}`, 'a');
      await client.sadd(`other:${String(nth)}`, 'b');
      await client.sunionstore(`both:${String(nth)}`, `one:${String(nth)}`, `other:${String(nth)}`);
      await client
        .multi()
        .incr(`n:${String(nth)}`)
        .incr(`n:${String(nth)}`)
        .exec();
      for (const [key, contents] of await snapshot(client)) all.set(key, contents);
      files.push(commandsOf(master));
    });
  }
  const before = files.map((file) => readFileSync(file));
  // As the page has it.
  const page = readFileSync(new URL('../../../docs/files.md', import.meta.url), 'utf8');
  const [first = [], second = []] = [
    ...page.matchAll(/^cluster-import (.*--from aof-1 .*)$/gm),
  ].map(([, line = '']) =>
    line
      .replace('10.0.1.1:7000', stage.cluster.seed)
      .replace(/aof-(\d)/g, (_, nth: string) => files[Number(nth) - 1] ?? '')
      .split(' '),
  );
  const { code, report } = await runJson([...first, ...server]);
  expect(code).toBe(0);
  expect(report.from).toEqual(files);
  expect(report.keys.moved).toBe(15);
  expect(await stage.missingIn(all)).toEqual([]);
  expect(files.map((file) => readFileSync(file))).toEqual(before);
  expect(second[0]).toBe('verify');
  const verified = await runCli([...second, ...server, '--quiet']);
  expect(verified.stdout).toContain('Equal: nothing differs');
  expect(verified.code).toBe(0);
});

it('imports a folder with a manifest, and reads one that is only a dump as one', async () => {
  await using(startWriting(), async (writing) => {
    const { client, directory } = writing;
    await fillEveryType(client);
    await rewrite(writing);
    const rewritten = path('appendonlydir');
    mkdirSync(rewritten);
    cpSync(join(directory, 'appendonlydir'), rewritten, { recursive: true });
    const before = await snapshot(client);
    const first = await runJson(['--from', rewritten, ...to()]);
    expect(first.report).toMatchObject({ status: 'complete', mover: 'restore', from: [rewritten] });
    expect(await stage.missingIn(before)).toEqual([]);

    await client.set('added', 'later');
    await stage.cluster.flush();
    const added = path('appendonlydir');
    cpSync(join(directory, 'appendonlydir'), added, { recursive: true });
    const second = await runJson(['--from', added, ...to()]);
    expect(second.report).toMatchObject({ status: 'complete', from: [added] });
    expect(await stage.missingIn(await snapshot(client))).toEqual([]);
  });
});

it('says that the last command is cut off, and imports the others', async () => {
  await using(startWriting(), async (master) => {
    await master.client.mset('a', '1', 'b', '2');
    await master.client.set('c', '3');
    const file = commandsOf(master);
    truncateSync(file, statSync(file).size - 3);
    const { code, report } = await runJson(['--from', file, ...to()]);
    expect(code).toBe(0);
    expect(report.keys.moved).toBe(2);
    expect(report.warnings?.join()).toContain(`${file} is cut off`);
  });
});

it('needs a server for it, and says so', async () => {
  await using(startWriting(), async (master) => {
    await master.client.set('a', '1');
    const file = commandsOf(master);
    const args = ['--from', file, '--to', stage.cluster.seed];
    const { code, stderr } = await runCli(args, { PATH: '' });
    expect(code).toBe(2);
    expect(stderr).toContain('name one in --redis-server');
  });
});

it('leaves no server and no files behind, also when it is killed', async () => {
  await using(startWriting(), async (master) => {
    await fillStrings(master, { count: 50_000, valueBytes: 64 });
    const file = commandsOf(master);
    const TMPDIR = path('tmp');
    mkdirSync(TMPDIR);
    const run = startCli(['--from', file, '--max-rate', '200', '--metrics', '0', ...to()], {
      TMPDIR,
    });
    await run.output(/Metrics/);
    expect(readdirSync(TMPDIR)).toHaveLength(1);
    run.signal('SIGKILL');
    await run.done;
    await waitFor('the folder to vanish', () => readdirSync(TMPDIR).length === 0);
  });
});

/** A program that stands in for a redis-server. */
function standIn(...lines: string[]): string {
  const program = path('redis-server');
  writeFileSync(program, ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
  return program;
}

function commands(text: string): string {
  const file = path('appendonly.aof');
  writeFileSync(file, text);
  return file;
}

const set = '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n';

it('says why a server could not load it, in its own words', async () => {
  const damaged = commands(`${set}*3\r\n$3\r\nSET\r\nnonsense\r\n${set}`);
  const first = await runCli(['--from', damaged, ...to()]);
  expect(first.code).toBe(2);
  expect(first.stderr).toContain('Bad file format');
  const wrong = ['--redis-server', standIn('echo I am no server >&2')];
  const second = await runCli(['--from', commands(set), '--to', stage.cluster.seed, ...wrong]);
  expect(second.code).toBe(2);
  expect(second.stderr).toContain('I am no server');
});

it('stops while a server loads it, and leaves nothing behind', async () => {
  const TMPDIR = path('tmp');
  mkdirSync(TMPDIR);
  const program = standIn('exec sleep 1000');
  const args = ['--from', commands(set), '--to', stage.cluster.seed, '--redis-server', program];
  const run = startCli(args, { TMPDIR });
  await waitFor('the server', () => readdirSync(TMPDIR).length > 0);
  run.signal('SIGTERM');
  expect((await run.done).code).toBe(143);
  await waitFor('the folder to vanish', () => readdirSync(TMPDIR).length === 0);
});

it('names the file when the server that has loaded it ends', async () => {
  const TMPDIR = path('tmp');
  mkdirSync(TMPDIR);
  await using(startWriting(), async (master) => {
    await fillStrings(master, { count: 20_000, valueBytes: 64 });
    const file = commandsOf(master);
    const args = ['--from', file, '--max-rate', '200', '--retry-for', '0', '--metrics', '0'];
    const run = startCli([...args, ...to(), '--json'], { TMPDIR });
    await run.output(/Metrics/);
    const [folder = ''] = readdirSync(TMPDIR);
    const scratch = new Redis(join(TMPDIR, folder, 'redis.sock'), { maxRetriesPerRequest: 0 });
    scratch.on('error', () => undefined);
    await scratch.shutdown('NOSAVE').catch(() => undefined);
    scratch.disconnect();
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(3);
    expect(report.error).toContain(file);
    expect(report.error).not.toContain('redis.sock');
    expect(report.warnings?.join()).toContain(`that has loaded ${file} has ended`);
  });
});

it('takes an empty one for what it is', async () => {
  const { code, report } = await runJson(['--from', commands(''), ...to()]);
  expect(code).toBe(0);
  expect(report.keys.scanned).toBe(0);
  expect(report.warnings?.join()).toContain('is empty');
});
