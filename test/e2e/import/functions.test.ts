/** Function libraries: with `--functions` they are on every master, before the keys are. */
import { beforeEach, expect, it } from 'vitest';
import { runCli } from '../../support/cli.js';
import { setFolder } from '../../support/folder.js';
import { saveTo } from '../../support/rdb.js';
import { runJson } from '../../support/reports.js';
import { startServer, using } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const path = setFolder();
const library = (name: string, answer: string) =>
  `#!lua name=${name}\nredis.register_function('${name}', function() return '${answer} ñ' end)`;

beforeEach(async () => {
  for (const { client } of [stage.source, ...stage.cluster.masters]) {
    await client.call('FUNCTION', 'FLUSH');
  }
  await stage.source.client.set('key', 'value');
  await stage.source.client.call('FUNCTION', 'LOAD', library('first', 'one'));
  await stage.source.client.call('FUNCTION', 'LOAD', library('second', 'two'));
});

async function answers(name: string): Promise<unknown[]> {
  return Promise.all(
    stage.cluster.masters.map(({ client }) =>
      client.call('FCALL', name, 0).catch((error: unknown) => String(error)),
    ),
  );
}

it('are brought to every master when asked for', async () => {
  const { code, report } = await runJson([...stage.endpoints, '--functions']);
  expect(code).toBe(0);
  expect(report.functions?.masters).toBe(3);
  expect([...(report.functions?.libraries ?? [])].sort()).toEqual(['first', 'second']);
  expect(report.warnings).toBeUndefined();
  expect(await answers('first')).toEqual(Array(3).fill('one ñ'));
  expect(await answers('second')).toEqual(Array(3).fill('two ñ'));
});

it('are named as staying behind when not', async () => {
  const { code, report } = await runJson(stage.endpoints);
  expect(code).toBe(0);
  expect(report.functions).toBeUndefined();
  expect(report.warnings).toEqual([expect.stringMatching(/first.*second|second.*first/)]);
  expect(String(await answers('first'))).toMatch(/not found/);
});

it('of other code are not overwritten unless told to', async () => {
  const [, , third] = stage.cluster.masters;
  await third?.client.call('FUNCTION', 'LOAD', library('second', 'another'));
  const args = [...stage.endpoints, '--functions'];
  const { code, stderr } = await runCli(args);
  expect(stderr).toMatch(/library second with other code: pass --replace/);
  expect(code).toBe(2);
  // Nothing was changed, neither keys nor functions.
  expect(await stage.source.client.get('key')).toBe('value');
  expect(String((await answers('first'))[0])).toMatch(/not found/);
  expect((await runJson([...args, '--replace'])).code).toBe(0);
  expect(await answers('second')).toEqual(Array(3).fill('two ñ'));
});

it('that are there already, equal ones, are no trouble', async () => {
  await runJson([...stage.endpoints, '--functions']);
  await stage.source.client.set('key', 'again');
  const { code } = await runJson([...stage.endpoints, '--functions', '--no-replace']);
  expect(code).toBe(1);
  expect(await answers('first')).toEqual(Array(3).fill('one ñ'));
});

it('that are not there are no trouble either', async () => {
  await stage.source.client.call('FUNCTION', 'FLUSH');
  const { code, report } = await runJson([...stage.endpoints, '--functions']);
  expect(code).toBe(0);
  expect(report.functions).toEqual({ libraries: [], masters: 0 });
});

it('of two sources, or two dumps, that have other code under one name are told of', async () => {
  await using(startServer(), async (other) => {
    await other.client.set('other', 'value');
    await other.client.call('FUNCTION', 'LOAD', library('second', 'another'));
    const live = [stage.source, other].flatMap(({ address }) => ['--from', address]);
    const sentence = /have function library second with different code/;
    const to = ['--to', stage.cluster.seed, '--functions', '--replace'];
    const refused = await runCli([...live, ...to]);
    expect(refused.stderr).toMatch(sentence);
    expect(refused.code).toBe(2);
    expect(await stage.cluster.size()).toBe(0);

    const files = await Promise.all(
      [stage.source, other].map((server) => saveTo(path('dump.rdb'), server)),
    );
    const dumps = await runJson([...files.flatMap((file) => ['--from', file]), ...to]);
    expect(dumps.code).toBe(3);
    expect(dumps.report.error).toMatch(sentence);
  });
});

it('of a dump are brought before its keys, and do not overwrite others unless told to', async () => {
  const file = await saveTo(path('dump.rdb'), stage.source);
  const [, , third] = stage.cluster.masters;
  await third?.client.call('FUNCTION', 'LOAD', library('second', 'another'));
  const args = ['--from', file, '--to', stage.cluster.seed, '--functions'];
  const refused = await runJson(args);
  expect(refused.code).toBe(3);
  expect(refused.report.error).toMatch(/library second with other code: pass --replace/);
  expect(await stage.cluster.size()).toBe(0);
  const { code } = await runJson([...args, '--replace']);
  expect(code).toBe(0);
  expect(await answers('second')).toEqual(Array(3).fill('two ñ'));
  expect(await stage.cluster.size()).toBe(1);
});
