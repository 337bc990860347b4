/** Keys that failed are written to a file, and a run does just those of a file again. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runCli } from '../../support/cli.js';
import { snapshot } from '../../support/compare.js';
import { edgeKeys } from '../../support/keys.js';
import { setFolder } from '../../support/folder.js';
import { runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const path = setFolder();

describe.each(['relay', 'migrate'])('with %s', (mover) => {
  const run = (...more: string[]) => runJson([...stage.endpoints, '--mover', mover, ...more]);

  it('does again what failed, whatever the keys, and nothing else', async () => {
    const { client } = stage.source;
    for (const key of edgeKeys) await client.set(key, 'of the source');
    const before = await snapshot(client);
    for (const key of edgeKeys) await stage.cluster.clientFor(key).set(key, 'of the cluster');
    await client.set('one that moves', 'value');
    const file = path('failed.jsonl');
    const first = await run('--no-replace', '--failed-keys', file);
    expect(first.code).toBe(1);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(edgeKeys.length);
    const objects = lines.map((line) => JSON.parse(line) as object);
    expect(objects).toEqual(first.report.failures.map((one) => ({ ...one, db: 0 })));

    // Twice the same keys are done once; keys that are not named stay.
    writeFileSync(file, `${lines.join('\n')}\n${lines.join('\n')}\n`);
    await client.set('not named', 'value');
    const again = path('again.jsonl');
    const second = await run('--replace', '--only-keys', file, '--failed-keys', again);
    expect(second.report.failures).toEqual([]);
    expect(second.code).toBe(0);
    expect(second.report.keys).toMatchObject({ scanned: edgeKeys.length, moved: edgeKeys.length });
    expect(await client.keys('*')).toEqual(['not named']);
    const holder = stage.cluster.clientFor('one that moves');
    await holder.del('one that moves');
    expect(await stage.missingIn(before)).toEqual([]);
    expect(readFileSync(again, 'utf8')).toBe('');
  });

  it('counts keys that are gone', async () => {
    await stage.source.client.set('there', 'value');
    const file = path('keys.jsonl');
    writeFileSync(file, '{"key":"there"}\n{"key":"gone"}\n');
    const { code, report } = await run('--only-keys', file);
    expect(code).toBe(0);
    expect(report.keys).toMatchObject({ scanned: 2, moved: 1, gone: 1 });
  });
});

it('goes by what the whole job decided, and leaves its journal alone', async () => {
  const { client } = stage.source;
  for (const key of ['a', 'b']) {
    await client.set(key, 'of the source');
    await stage.cluster.clientFor(key).set(key, 'of the cluster');
  }
  const state = path('state.json');
  const words = [...stage.endpoints, '--state', state];
  expect((await runJson([...words, '--no-replace'])).code).toBe(1);
  await stage.cluster.clientFor('a').del('a');
  const file = path('keys.jsonl');
  writeFileSync(file, '{"key":"a"}\n');
  expect((await runJson([...words, '--only-keys', file])).code).toBe(0);
  expect(await client.keys('*')).toEqual(['b']);
  expect(existsSync(state)).toBe(true);
});

describe('refuses before the start', () => {
  const folder = path('folder');
  mkdirSync(folder);
  const good = path('good.jsonl');
  writeFileSync(good, '{"key":"key"}\n');
  const bad = path('bad.jsonl');
  writeFileSync(bad, '{"key":"key"}\nkey\n');

  it.each([
    ['a file that can’t be written', ['--failed-keys', folder], '--failed-keys'],
    ['a file that is not there', ['--only-keys', path('missing')], '--only-keys'],
    ['a malformed line, with its number', ['--only-keys', bad], 'line 2'],
    ['one file for both', ['--only-keys', good, '--failed-keys', good], 'same file'],
  ])('%s', async (_, flags, words) => {
    await stage.source.client.set('key', 'value');
    const { code, stderr } = await runCli([...stage.endpoints, ...flags]);
    expect(stderr).toContain(words);
    expect(code).toBe(2);
    expect(await stage.source.client.dbsize()).toBe(1);
    expect(readFileSync(good, 'utf8')).toBe('{"key":"key"}\n');
  });
});
