/** Dumps as sources: what a server saved arrives as it was, without that server. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, createReadStream, readFileSync, statSync, truncateSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { type CliResult, program, runCli, startCli } from '../../support/cli.js';
import { snapshot } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { setFolder } from '../../support/folder.js';
import { saveTo } from '../../support/rdb.js';
import { oldRecords, rdbFile } from '../../support/rdb-file.js';
import { type Reported, reportOf, runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const path = setFolder();

/** Saves what the source holds, in a file of its own. */
const save = (): Promise<string> => saveTo(path('dump.rdb'), stage.source);

/** Runs with a file on standard input. */
async function runPiped(args: readonly string[], file: string): Promise<Reported> {
  return reportOf(await runPipedTo(args, file));
}

async function runPipedTo(args: readonly string[], file: string): Promise<CliResult> {
  const child = spawn(process.execPath, [program, ...args, '--json', '--quiet'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  child.stdin.on('error', () => undefined);
  createReadStream(file).pipe(child.stdin);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code: code ?? undefined, ...said };
}

const into = (file: string): string[] => ['--from', file, '--to', stage.cluster.seed];

it('imports every type and encoding, and leaves the file as it is', async () => {
  const count = await fillEveryType(stage.source.client);
  await stage.source.client.set('large', randomBytes(8 * 1024 * 1024));
  await stage.source.client.rpush(
    'large list',
    ...Array.from({ length: 64 }, () => randomBytes(50_000)),
  );
  const before = await snapshot(stage.source.client);
  const file = await save();
  const bytes = readFileSync(file);
  const { code, report } = await runJson(into(file));
  expect(await stage.missingIn(before)).toEqual([]);
  expect(code).toBe(0);
  expect(report).toMatchObject({
    status: 'complete',
    from: [file],
    mode: 'copy',
    mover: 'restore',
  });
  expect(report.keys).toMatchObject({ scanned: count + 2, moved: count + 2 });
  expect(readFileSync(file).equals(bytes)).toBe(true);
  expect(await stage.changedAtSource(before)).toEqual([]);
});

it('reads compressed files, and standard input', async () => {
  await fillEveryType(stage.source.client);
  await stage.source.client.set('large', randomBytes(2 * 1024 * 1024));
  const before = await snapshot(stage.source.client);
  const file = await save();
  const packed = path('dump.rdb.gz');
  writeFileSync(packed, gzipSync(readFileSync(file)));
  expect((await runJson(into(packed))).code).toBe(0);
  expect(await stage.missingIn(before)).toEqual([]);

  await stage.cluster.flush();
  expect((await runPiped(into('-'), file)).code).toBe(0);
  expect(await stage.missingIn(before)).toEqual([]);
});

it('overlooks nothing that follows a dump, as in append-only files, packed or piped', async () => {
  await stage.source.client.set('in the dump', 'x');
  const appended = path('appendonly.aof');
  const commands = '*3\r\n$3\r\nSET\r\n$5\r\nlater\r\n$1\r\ny\r\n';
  const dump = readFileSync(await save());
  writeFileSync(appended, Buffer.concat([dump, Buffer.from(commands)]));
  const packed = path('appendonly.aof.gz');
  writeFileSync(packed, gzipSync(readFileSync(appended)));
  for (const run of [
    () => runJson(into(packed)),
    () => runJson([...into(appended), '--damaged']),
    () => runPiped(into('-'), appended),
  ]) {
    const { code, report } = await run();
    expect(code).toBe(3);
    expect(report.error).toContain(`goes on at byte ${String(dump.length)}`);
    await stage.cluster.flush();
  }
});

it('stops when it is told to, though nothing comes', async () => {
  const args = [program, ...into('-'), '--quiet', '--metrics', '0', '--json'];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => undefined);
  const ended = new Promise((resolve) => child.once('close', resolve));
  await new Promise((resolve) => child.stderr.once('data', resolve));
  child.kill('SIGINT');
  expect(await ended).toBe(130);
});

it('takes the databases that are asked for, and tells of the others', async () => {
  const { client } = stage.source;
  await client.set('zero', '0');
  await client.set('both', 'of zero');
  await client.select(3);
  await client.set('three', '3');
  await client.set('both', 'of three');
  await client.select(0);
  const file = await save();
  const first = await runJson(into(file));
  expect(first.report.keys.moved).toBe(2);
  expect(first.report.warnings?.join()).toContain('2 keys in other databases (3)');

  await stage.cluster.flush();
  const all = await runJson([...into(file), '--db', 'all']);
  expect(all.code).toBe(1);
  expect(all.report.keys).toMatchObject({ scanned: 4, moved: 3, conflicting: 1 });
  expect(await stage.cluster.clientFor('both').get('both')).toBe('of zero');

  await stage.cluster.flush();
  const renamed = await runJson([...into(file), '--db', 'all', '--key-prefix', 'db{db}:']);
  expect(renamed.code).toBe(0);
  expect(await stage.cluster.clientFor('db3:both').get('db3:both')).toBe('of three');
});

it('selects keys by name and type', async () => {
  const { client } = stage.source;
  await client.mset('a:1', 'x', 'a:2', 'x', 'b:1', 'x');
  await client.rpush('a:list', 'x');
  const file = await save();
  const { report } = await runJson([...into(file), '--match', 'a:*', '--type', 'string']);
  expect(report.keys).toMatchObject({ scanned: 2, moved: 2 });
});

it('overwrites what the cluster has, or leaves it alone, as it was told', async () => {
  await stage.source.client.mset('equal', 'same', 'different', 'of the file');
  await stage.source.client.rpush('list', 'a', 'b');
  const file = await save();
  const { cluster } = stage;
  await cluster.clientFor('equal').set('equal', 'same');
  await cluster.clientFor('different').set('different', 'of the cluster');
  await cluster.clientFor('list').rpush('list', 'a', 'b');
  const refused = await runJson([...into(file), '--no-replace']);
  expect(refused.code).toBe(1);
  expect(refused.report.keys).toMatchObject({ scanned: 3, moved: 2, conflicting: 1 });
  expect(refused.report.failures).toMatchObject([{ key: 'different', class: 'conflict' }]);
  expect(await cluster.size()).toBe(3);

  const replaced = await runJson([...into(file), '--replace']);
  expect(replaced.code).toBe(0);
  expect(await cluster.clientFor('different').get('different')).toBe('of the file');
});

it('imports what stands before damage, and says where that is', async () => {
  await fillStrings(stage.source, { count: 20_000, valueBytes: 64 });
  const file = await save();
  truncateSync(file, Math.floor(statSync(file).size * 0.6));
  const { code, report } = await runJson(into(file));
  expect(code).toBe(3);
  expect(report.status).toBe('failed');
  expect(report.warnings?.join()).toContain('is cut off');
  expect(report.error).toContain(`is cut off: it ends at byte ${String(statSync(file).size)}`);
  expect(report.keys.moved).toBeGreaterThan(9000);
  expect(await stage.cluster.size()).toBe(report.keys.moved);
});

it('imports nothing of a file that is not as it was written, unless told to', async () => {
  await stage.source.client.mset('a', 'x'.repeat(1000), 'b', 'y'.repeat(1000));
  await stage.source.client.config('SET', 'rdbcompression', 'no');
  const file = await save();
  const bytes = readFileSync(file);
  bytes[bytes.indexOf('xxxx') + 500] = 0x2e;
  writeFileSync(file, bytes);
  const refused = await runCli(into(file));
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/is damaged: expected the checksum .* --damaged/s);
  expect(await stage.cluster.size()).toBe(0);

  const { code, report, stderr } = await runJson([...into(file), '--damaged']);
  expect(code).toBe(3);
  expect(report.keys.moved).toBe(2);
  expect(report).toMatchObject({ unreadable: true });
  expect(report.error).toContain('what was imported may be damaged');
  expect(stderr).not.toContain('the same command');

  await stage.cluster.flush();
  bytes.fill(0, bytes.length - 8);
  writeFileSync(file, bytes);
  const unsummed = await runJson(into(file));
  expect(unsummed.code).toBe(0);
  expect(unsummed.report.warnings?.join()).toContain('has no checksum');
});

it('says that there is no such file, and that one is given twice', async () => {
  const missing = await runCli(into(path('nope.rdb')));
  expect(missing.code).toBe(2);
  expect(missing.stderr).toContain('nope.rdb: there is no such file');
  await stage.source.client.set('a', '1');
  const file = await save();
  const twice = await runCli([...into(file), '--from', file]);
  expect(twice.code).toBe(2);
  expect(twice.stderr).toContain('is given twice');
});

it('goes on with a file only while it is the same one', async () => {
  await fillStrings(stage.source, { count: 3000, valueBytes: 64 });
  const file = await save();
  const args = [...into(file), '--state', path('journal')];
  const run = startCli([...args, '--max-rate', '200', '--metrics', '0']);
  await run.output(/Metrics/);
  await waitFor('some keys', async () => (await stage.cluster.size()) > 100);
  run.signal('SIGINT');
  expect((await run.done).code).toBe(130);

  // Another file of that name: the cluster's keys are not of this job.
  await stage.source.client.flushall();
  await stage.source.client.set('other', 'of another file');
  copyFileSync(await save(), file);
  const other = await runCli(args);
  expect(other.code).toBe(2);
  expect(other.stderr).toMatch(/belongs to a run from/);
  const piped = await runPipedTo(into('-'), file);
  expect(piped.code).toBe(2);
  expect(piped.stderr).toMatch(/already holds .* --replace/);
});

it.each([3, 6])('imports what old servers wrote: version %i', async (version) => {
  const file = path('old.rdb');
  writeFileSync(file, rdbFile(version, oldRecords(Date.now())));
  const { code, report } = await runJson(into(file));
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(report.keys).toMatchObject({ scanned: 15, moved: 12, gone: 3 });
  const ask = (name: string, key: string, ...words: string[]): Promise<unknown> =>
    stage.cluster.clientFor(key).call(name, key, ...words);
  expect(await ask('GET', 'string')).toBe('text');
  expect(Number(await ask('PTTL', 'string'))).toBeGreaterThan(90_000_000);
  expect(await ask('GET', '-7')).toBe('12');
  expect(await ask('GET', 'compressed')).toBe('ab'.repeat(40));
  expect(await ask('LRANGE', 'list', '0', '-1')).toEqual(['a', '5']);
  expect(((await ask('SMEMBERS', 'set')) as string[]).sort()).toEqual(['a', 'b']);
  expect(await ask('ZRANGE', 'zset', '0', '-1', 'WITHSCORES')).toEqual(['a', '1.5', 'b', 'inf']);
  expect(await ask('HGETALL', 'hash')).toEqual(['f', 'v']);
  expect(await ask('HGETALL', 'zipmap')).toEqual(['f', 'vv']);
  expect(await ask('LRANGE', 'ziplist', '0', '-1')).toEqual(['a', 'bcd']);
  expect(await ask('SMEMBERS', 'intset')).toEqual(['-5', '300']);
  const scored = await ask('ZRANGE', 'zset:ziplist', '0', '-1', 'WITHSCORES');
  expect(scored).toEqual(['m', '1', 'n', '2.5']);
  expect(await ask('HGETALL', 'hash:ziplist')).toEqual(['f', 'v']);
});
