import { appendFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { listingRecord } from '../../../src/engine/record.js';
import { listedFiles, listedKeys } from '../../../src/journal/listed.js';
import { keyAt, named } from '../../../src/redis/keys.js';
import type { Keys, Source } from '../../../src/types.js';
import { edgeKeys } from '../../support/edge-keys.js';
import { setFolder } from '../../support/folder.js';
import { keysOf } from '../../fuzz/readers.js';

const path = setFolder();

function sourceOf(...pages: Keys[]): Source {
  return {
    name: 'mock',
    estimatedKeys: 0,
    progress: 0,
    async *pages() {
      await Promise.resolve();
      yield* pages;
    },
  };
}

const frames = (...keys: Buffer[]): Keys => keysOf(...keys.map((key) => key.toString('latin1')));
const numbered = (from: number, count: number): Keys =>
  keysOf(...Array.from({ length: count }, (_, at) => `key ${String(from + at)}`));

/** What the engine does with pages: it notes their names. */
function note(record: ReturnType<typeof listingRecord>, page: Keys): void {
  const names = page.names ?? page;
  for (let at = 0; at < names.count; at++) {
    const key = keyAt(names, at);
    record.noted(key, 0, key.length);
  }
}

async function exhaust(source: Source): Promise<void> {
  const pages = source.pages()[Symbol.asyncIterator]();
  while (!(await pages.next()).done);
}

async function recalled(file: string): Promise<(key: Buffer) => boolean> {
  const record = listingRecord(1024);
  const listed = listedKeys(file);
  await listed.recall(record);
  await listed.close();
  return (key) => record.noted(key, 0, key.length);
}

it('has a page on file before it is handed on, whatever the keys', async () => {
  const file = path('state');
  const listed = listedKeys(file);
  const keys = frames(...edgeKeys);
  for await (const page of listed.watch(sourceOf(keys), listingRecord(1024)).pages()) {
    const known = await recalled(file);
    for (let at = 0; at < page.count; at++) expect(known(keyAt(page, at))).toBe(true);
    expect(known(Buffer.from('another'))).toBe(false);
  }
  await listed.close();
});

it('keeps the names that keys get in the cluster', async () => {
  const file = path('state');
  const listed = listedKeys(file);
  const page = named(keysOf('old'), keysOf('new'));
  await exhaust(listed.watch(sourceOf(page), listingRecord(1024)));
  await listed.close();
  const known = await recalled(file);
  expect(known(Buffer.from('new'))).toBe(true);
  expect(known(Buffer.from('old'))).toBe(false);
});

it('goes on behind what a killed run has left, and forgets half a key', async () => {
  const file = path('state');
  const [, log] = listedFiles(file);
  const first = listedKeys(file);
  await exhaust(first.watch(sourceOf(keysOf('one')), listingRecord(1024)));
  await first.close();
  const whole = statSync(log).size;
  appendFileSync(log, '$10\r\nhalf of');
  const second = listedKeys(file);
  const record = listingRecord(1024);
  await second.recall(record);
  expect(statSync(log).size).toBe(whole);
  await exhaust(second.watch(sourceOf(keysOf('two')), record));
  await second.close();
  const known = await recalled(file);
  expect([known(Buffer.from('one')), known(Buffer.from('two'))]).toEqual([true, true]);
  expect(known(Buffer.from('half of'))).toBe(false);
});

describe('when the log gets long', () => {
  it('is replaced by the record, and knows all keys at every moment', async () => {
    const file = path('state');
    const [recordFile, ...logs] = listedFiles(file);
    const record = listingRecord(1024);
    const listed = listedKeys(file, 2000);
    const pages = Array.from({ length: 20 }, (_, at) => numbered(at * 50, 50));
    let done = 0;
    for await (const page of listed.watch(sourceOf(...pages), record).pages()) {
      done += page.count;
      const known = await recalled(file);
      for (let at = 0; at < done; at++) expect(known(Buffer.from(`key ${String(at)}`))).toBe(true);
      note(record, page);
    }
    await listed.close();
    expect(existsSync(recordFile)).toBe(true);
    const left = logs.filter((log) => existsSync(log));
    expect(left.reduce((sum, log) => sum + readFileSync(log).length, 0)).toBeLessThan(3000);
  });

  it('loses no page of another source that has not been noted yet', async () => {
    const file = path('state');
    const record = listingRecord(1024);
    const listed = listedKeys(file, 100);
    const slow = listed
      .watch(sourceOf(keysOf('slow')), record)
      .pages()
      [Symbol.asyncIterator]();
    await slow.next();
    for await (const page of listed.watch(sourceOf(numbered(0, 50)), record).pages()) {
      note(record, page);
    }
    await listed.close();
    expect(existsSync(listedFiles(file)[0])).toBe(true);
    expect((await recalled(file))(Buffer.from('slow'))).toBe(true);
  });
});
