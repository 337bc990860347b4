/**
 * `npm run test:dumps -- <folder>`: imports files that other projects publish for their own tests, and compares
 * what arrives with what a server holds that has loaded them. The folder has one folder for each project, with its
 * `.rdb` and `.aof` files; none of them is a part of this repository. What came of it is written into
 * docs/compatibility.md.
 *
 * A file is well if all its keys arrive as a server holds them, or if what does not is named, or if it is refused in a
 * sentence and no server here loads it either.
 */
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findRedis } from '../../scripts/find-redis.mjs';
import { findTool } from '../../scripts/find-tools.mjs';
import type { Report } from '../../src/report.js';
import { runCli } from '../support/cli.js';
import { startCluster, type TestCluster } from '../support/cluster.js';
import { differences, type Snapshot } from '../support/compare.js';
import { type Server, startServer } from '../support/servers.js';
import { writeTable } from './compatibility.js';
import { contentsOf } from './contents.js';

/** The first one that loads a file tells what is in it. */
const programs = [findTool('redis-8'), findTool('valkey-9'), findRedis('redis-server')].filter(
  (program) => program !== undefined,
);

type Outcome = 'equal' | 'partly' | 'unread' | 'refused' | 'refused alone' | 'different';

interface Result {
  readonly outcome: Outcome;
  /** In one sentence what was refused, or is different. */
  readonly why: string;
}

const [folder] = process.argv.slice(2);
if (folder === undefined || programs.length === 0) {
  throw new Error('name a folder of folders with dumps; and run "npm run setup:tools" before');
}
const cluster = await startCluster({ binary: programs[0] ?? '' });
try {
  const rows: string[][] = [];
  for (const project of readdirSync(folder).sort()) rows.push(await tryProject(folder, project));
  const head = [
    'published by',
    'files',
    'equal',
    'equal but for what is named',
    'read by no server here',
    'refused',
    'other',
  ];
  const day = new Date().toISOString().slice(0, 10);
  writeTable('dumps', head, rows, `Made on ${day}.`);
  console.table(
    rows.map((row) => Object.fromEntries(row.map((cell, at) => [head[at] ?? '', cell])) as object),
  );
} finally {
  await cluster.stop();
}

async function tryProject(within: string, project: string): Promise<string[]> {
  const results: Result[] = [];
  const files = readdirSync(join(within, project)).sort();
  for (const name of files) {
    const result = await tryFile(join(within, project, name));
    results.push(result);
    console.log(`${project}/${name}: ${result.outcome}${result.why && `: ${result.why}`}`);
    if (['different', 'refused alone'].includes(result.outcome)) process.exitCode = 1;
  }
  const count = (...outcomes: Outcome[]): string =>
    String(results.filter(({ outcome }) => outcomes.includes(outcome)).length);
  return [
    ...[project.replace('+', '/'), String(files.length), count('equal'), count('partly')],
    ...[count('unread'), count('refused'), count('refused alone', 'different')],
  ];
}

async function tryFile(file: string): Promise<Result> {
  await cluster.flush();
  const held = await heldBy(file);
  const isLog = file.endsWith('.aof');
  const from = ['--from', file, '--db', 'all', '--key-prefix', '{db}/', '--replace'];
  const more = isLog ? ['--redis-server', programs[0] ?? ''] : [];
  const words = [...from, '--to', cluster.seed, ...more, '--json', '--quiet'];
  const { code, stdout, stderr } = await runCli(words);
  if (code === 2) {
    const sentence = stderr.trim().split('\n').at(-1) ?? '';
    if (!sentence.startsWith('cluster-import: ')) return { outcome: 'different', why: stderr };
    return { outcome: held ? 'refused alone' : 'refused', why: sentence.slice(16) };
  }
  const report = JSON.parse(stdout) as Report;
  return judged(report, held, cluster);
}

/** Keys that were named need not have arrived; where the file ends in damage, neither need what is behind. */
async function judged(
  { failures, error, keys }: Report,
  held: Snapshot | undefined,
  { masters }: TestCluster,
): Promise<Result> {
  const sentence = error ?? failures[0]?.message ?? '';
  if (!held) {
    if (sentence === '') return { outcome: 'unread', why: 'no server here loads it' };
    return { outcome: error ? 'refused' : 'unread', why: sentence };
  }
  const named = new Set(
    failures.map(({ key, keyEncoding }) => Buffer.from(key, keyEncoding).toString('latin1')),
  );
  // They are named as the file has them.
  const nameOf = (key: string): string => key.slice(key.indexOf('/') + 1);
  const expected = new Map([...held].filter(([key]) => !named.has(nameOf(key))));
  const different = differences(expected, await contentsOf(masters));
  if (different.length > 0) return { outcome: 'different', why: different[0] ?? '' };
  if (named.size === 0) return { outcome: 'equal', why: `${String(keys.moved)} keys` };
  return { outcome: 'partly', why: sentence };
}

/** What a server holds that has loaded it, by the names that keys get in the cluster; undefined: none does. */
async function heldBy(file: string): Promise<Snapshot | undefined> {
  for (const binary of programs) {
    const server = await loading(binary, file);
    if (!server) continue;
    try {
      const all = new Map<string, NonNullable<ReturnType<Snapshot['get']>>>();
      const keyspace = await server.client.info('keyspace');
      for (const [, db = '0'] of keyspace.matchAll(/^db(\d+):/gm)) {
        await server.client.select(Number(db));
        for (const [key, contents] of await contentsOf([server])) all.set(`${db}/${key}`, contents);
      }
      return all;
    } finally {
      await server.stop();
    }
  }
  return undefined;
}

/** It may change what it loads, so it gets a copy. */
async function loading(binary: string, file: string): Promise<Server | undefined> {
  const directory = mkdtempSync(join(tmpdir(), 'cluster-import-dump-'));
  const isLog = file.endsWith('.aof');
  const name = isLog ? 'file.aof' : 'file.rdb';
  copyFileSync(file, join(directory, name));
  const load = isLog ? ['appendonly yes', `appendfilename ${name}`] : [`dbfilename ${name}`];
  try {
    return await startServer({ binary, config: ['databases 4096', `dir ${directory}`, ...load] });
  } catch {
    return undefined;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
