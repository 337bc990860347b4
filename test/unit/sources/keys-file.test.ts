import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../src/errors.js';
import { failedKeys } from '../../../src/run/job-files.js';
import { keyAt } from '../../../src/redis/frames.js';
import { checkKeysFile, keysFileSource } from '../../../src/sources/keys-file.js';
import { edgeKeys } from '../../support/keys.js';
import { setFolder } from '../../support/folder.js';

const path = setFolder();

async function readKeys(file: string, db = 0): Promise<Buffer[]> {
  const keys: Buffer[] = [];
  const source = keysFileSource(await checkKeysFile(file, [{ name: 'source', db }]), 'source');
  let progress = 0;
  for await (const page of source.pages()) {
    expect(source.progress).toBeGreaterThanOrEqual(progress);
    ({ progress } = source);
    for (let at = 0; at < page.count; at++) keys.push(Buffer.from(keyAt(page, at)));
  }
  expect(source.progress).toBe(1);
  expect(source.estimatedKeys).toBe(keys.length);
  return keys;
}

function fileOf(...lines: (string | Buffer)[]): string {
  const file = path('keys.jsonl');
  writeFileSync(file, Buffer.concat(lines.map((line) => Buffer.from(line))));
  return file;
}

const separators = Buffer.from('line\u2028paragraph\u2029next\u0085');

it('reads back what was written of failed keys, byte for byte', async () => {
  const file = path('failed.jsonl');
  const failed = failedKeys(file);
  const keys = [...edgeKeys, separators];
  failed.begin();
  for (const key of keys) failed.add({ key, class: 'oom', message: 'no "room"\n' }, { db: 3 });
  expect(failed.close()).toBeUndefined();
  expect(await readKeys(file, 3)).toEqual(keys);
  const [line = ''] = readFileSync(file, 'utf8').split('\n');
  expect(JSON.parse(line)).toEqual({
    key: '',
    keyEncoding: 'utf8',
    db: 3,
    class: 'oom',
    message: 'no "room"\n',
  });
});

it('writes what fails at once, more than is held in memory', async () => {
  const file = path('failed.jsonl');
  writeFileSync(file, '{"key":"of an earlier run"}\n');
  const failed = failedKeys(file);
  expect(await readKeys(file)).toHaveLength(1);
  failed.begin();
  const key = (at: number) => Buffer.from(`key ${String(at)}`);
  for (let at = 0; at < 10_000; at++)
    failed.add({ key: key(at), class: 'other', message: '' }, { db: 0 });
  await Promise.resolve();
  const expected = Array.from({ length: 10_000 }, (_, at) => key(at).toString());
  expect((await readKeys(file)).map(String)).toEqual(expected);
  expect(failed.close()).toBeUndefined();
});

it('says so when the disk is full', () => {
  const failed = failedKeys('/dev/full');
  failed.begin();
  failed.add({ key: Buffer.from('key'), class: 'other', message: '' }, { db: 0 });
  expect(failed.close()?.message).toContain('ENOSPC');
});

it('takes plain lines, without the last line feed, and none twice', async () => {
  const file = fileOf(
    '{"key":"a"}\r\n\n{"keyEncoding":"base64","key":"Yg=="}\n{"key":"b"}\n{"key":"c"}',
  );
  expect((await readKeys(file)).map(String)).toEqual(['a', 'b', 'c']);
});

it('reads lines that are longer than what is read at once', async () => {
  const long = Buffer.alloc(300_000, 'x');
  const file = fileOf(JSON.stringify({ key: long.toString() }), '\n{"key":"b"}\n');
  expect((await readKeys(file)).map(({ length }) => length)).toEqual([300_000, 1]);
});

it('takes an empty file', async () => {
  expect(await readKeys(fileOf())).toEqual([]);
});

describe('refuses, with the line’s number,', () => {
  it.each<[string, string | Buffer, string]>([
    ['what is no JSON', 'key', 'is not a JSON object'],
    ['half a line', '{"key":"a', 'is not a JSON object'],
    ['a list', '["a"]', 'is not a JSON object'],
    ['a line without a key', '{"class":"oom"}', 'has no "key"'],
    ['a key that is a number', '{"key":1}', 'has no "key"'],
    ['an encoding it does not know', '{"key":"61","keyEncoding":"hex"}', 'a "keyEncoding" other'],
    ['base64 that is none', '{"key":"!!","keyEncoding":"base64"}', 'not base64'],
    ['half a character', '{"key":"\\ud83d"}', 'not valid text'],
    ['bytes that are no text', Buffer.from('{"key":"\xff"}', 'latin1'), 'is not UTF-8'],
    ['a key of another source', '{"key":"a","from":"b:2/0"}', 'of "b:2/0", which --from does not'],
    ['a key of another database', '{"key":"a","db":1}', 'of database 1, and --from is database 0'],
  ])('%s', async (_, line, words) => {
    const checking = checkKeysFile(fileOf('{"key":"a"}\n\n', line, '\n'), [
      { name: 'a:1/0', db: 0 },
    ]);
    await expect(checking).rejects.toThrow(UsageError);
    await expect(checking).rejects.toThrow(/--only-keys: line 3 of /);
    await expect(checking).rejects.toThrow(words);
  });
});

it('refuses what can’t be read or written before the start', async () => {
  await expect(checkKeysFile(path('missing'), [])).rejects.toThrow(/--only-keys can't be read/);
  const folder = path('folder');
  mkdirSync(folder);
  expect(() => failedKeys(folder)).toThrow(/--failed-keys can't be written/);
});

it('gives each of several sources its own keys, and those that are of no one to all', async () => {
  const sources = [
    { name: 'a:1/0', db: 0 },
    { name: 'a:1/1', db: 1 },
    { name: 'b:2/1', db: 1 },
  ];
  const lines = ['{"key":"all"}', '{"key":"1","db":1}', '{"key":"b","db":1,"from":"b:2/1"}'];
  const file = await checkKeysFile(fileOf(lines.join('\n')), sources);
  const keysOf = async (name: string): Promise<string[]> => {
    const keys: string[] = [];
    for await (const page of keysFileSource(file, name).pages()) {
      for (let at = 0; at < page.count; at++) keys.push(keyAt(page, at).toString());
    }
    return keys;
  };
  expect(await Promise.all(sources.map(({ name }) => keysOf(name)))).toEqual([
    ['all'],
    ['all', '1'],
    ['all', '1', 'b'],
  ]);
});
