import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { PreflightError } from '../../../src/errors.js';
import { takeLock } from '../../../src/journal/stores.js';
import { setFolder } from '../../support/folder.js';

const path = setFolder();
const lockOf = (pid: number, host = hostname(), began?: string): string =>
  JSON.stringify({ id: 'them', pid, host, began });

async function endedPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  return child.pid ?? 0;
}

it('is held by one at a time, and can be taken again once it is released', async () => {
  const file = path('lock');
  const lock = await takeLock(file);
  await expect(takeLock(file)).rejects.toThrow(PreflightError);
  await expect(takeLock(file)).rejects.toThrow(`process ${String(process.pid)}`);
  expect(await lock.renew()).toBe(true);
  await lock.release();
  expect(existsSync(file)).toBe(false);
  await (await takeLock(file)).release();
});

it('is refused while its process lives', async () => {
  const file = path('lock');
  writeFileSync(file, lockOf(process.ppid));
  await expect(takeLock(file)).rejects.toThrow(`delete ${file}`);
  expect(readFileSync(file, 'utf8')).toBe(lockOf(process.ppid));
});

it('is refused on another machine while it is renewed', async () => {
  const file = path('lock');
  writeFileSync(file, lockOf(1, 'another'));
  await expect(takeLock(file)).rejects.toThrow('on another');
});

it.each([
  ['its process has ended', async () => lockOf(await endedPid())],
  ['its process had our number, as in a container', () => lockOf(process.pid)],
  ['it can’t be understood', () => '{"id":'],
])('is taken over when %s', async (_, text) => {
  const file = path('lock');
  writeFileSync(file, await text());
  await (await takeLock(file)).release();
  expect(readdirSync(dirname(file)).filter((name) => file.endsWith(name))).toEqual([]);
});

/** As if nobody had renewed it for two minutes. */
function age(file: string): void {
  const longAgo = new Date(Date.now() - 120_000);
  utimesSync(file, longAgo, longAgo);
}

it('is refused while its process lives, though that is stopped and renews nothing', async () => {
  const file = path('lock');
  writeFileSync(file, lockOf(process.ppid));
  age(file);
  await expect(takeLock(file)).rejects.toThrow(PreflightError);
});

it.runIf(existsSync('/proc/self/stat'))(
  'is taken over when another process has its number by now',
  async () => {
    const file = path('lock');
    writeFileSync(file, lockOf(process.ppid, hostname(), '1'));
    await (await takeLock(file)).release();
  },
);

it('is taken over from another machine when nobody has renewed it for long', async () => {
  const file = path('lock');
  writeFileSync(file, lockOf(1, 'another'));
  age(file);
  const lock = await takeLock(file);
  expect(await lock.renew()).toBe(true);
});

it('is noticed when it is lost, and then left to the other', async () => {
  const file = path('lock');
  const lock = await takeLock(file);
  writeFileSync(file, lockOf(1));
  expect(await lock.renew()).toBe(false);
  await lock.release();
  expect(readFileSync(file, 'utf8')).toBe(lockOf(1));
});

it('goes to just one of many that take it over at once, however often that happens', async () => {
  const ended = lockOf(await endedPid());
  for (let round = 0; round < 50; round++) {
    const file = path(`lock ${String(round)}`);
    writeFileSync(file, ended);
    const taken = await Promise.allSettled(Array.from({ length: 20 }, () => takeLock(file)));
    expect(taken.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(readdirSync(dirname(file)).filter((name) => file.endsWith(name))).toHaveLength(1);
  }
});

it('is taken over though a run was killed while it took it over', async () => {
  const file = path('lock');
  const ended = lockOf(await endedPid());
  writeFileSync(file, ended);
  writeFileSync(`${file}.next`, ended);
  const lock = await takeLock(file);
  expect(await lock.renew()).toBe(true);
  await lock.release();
  expect(existsSync(`${file}.next`)).toBe(false);
});
