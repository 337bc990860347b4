/**
 * A source of which some commands are refused by what stands before it, or answered oddly: no key is
 * counted as moved that is not in the cluster, whatever becomes of the transaction that MIGRATE is in.
 */
import { expect, it } from 'vitest';
import { importKeys } from '../../../src/index.js';
import type { GivenOptions } from '../../../src/options/options.js';
import type { Report } from '../../../src/report.js';
import { fillStrings } from '../../support/bulk.js';
import { snapshot } from '../../support/compare.js';
import { type FilterRules, startFilter } from '../../support/filter.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const count = 500;

async function run(rules: FilterRules, options: Partial<GivenOptions> = {}): Promise<Report> {
  const filter = await startFilter(stage.source, rules);
  try {
    const endpoints = { from: filter.address, to: stage.cluster.seed };
    return await importKeys({ ...endpoints, mover: 'migrate', ...options });
  } finally {
    await filter.stop();
  }
}

const unknown = 'ERR unknown command';
const withoutLast = (reply: string): string =>
  reply.startsWith('*3')
    ? `*2${reply.slice(2).replace(/\r\n[$:][^\r]*\r\n(\d+\r\n)?$/, '\r\n')}`
    : reply;

/** The server itself does not know it, says so when it is to be queued, and aborts the transaction. */
const misspelt = (command: string): string => command.replace('MIGRATE', 'MIGRATO');

/** With these all keys get there all the same, one by one. */
const harmless: Readonly<Record<string, FilterRules>> = {
  'MULTI is refused': { refuse: { MULTI: unknown } },
  'there are no transactions': { refuse: { MULTI: unknown, EXEC: unknown } },
  'EXEC is refused': { refuse: { EXEC: unknown } },
  'EXISTS is refused': { refuse: { EXISTS: unknown } },
  'EVALSHA is refused': { refuse: { EVALSHA: unknown } },
  'EXEC answers with fewer items': { change: { EXEC: withoutLast } },
  'EXEC answers nil': { change: { EXEC: () => '*-1\r\n' } },
  'MULTI answers something else': { change: { MULTI: () => '+FINE\r\n' } },
};

it.each(Object.entries(harmless))('moves by MIGRATE where %s', async (_, rules) => {
  await fillStrings(stage.source, { count, valueBytes: 20 });
  const before = await snapshot(stage.source.client);
  const report = await run(rules);
  expect(report.failures).toEqual([]);
  expect(report.keys).toEqual({ scanned: count, moved: count, gone: 0, conflicting: 0, failed: 0 });
  expect(await stage.missingIn(before)).toEqual([]);
  expect(await stage.source.client.dbsize()).toBe(0);
});

it.each(Object.entries(harmless))('copies by MIGRATE where %s', async (_, rules) => {
  await fillStrings(stage.source, { count, valueBytes: 20 });
  const before = await snapshot(stage.source.client);
  const report = await run(rules, { copy: true });
  expect(report.keys).toMatchObject({ scanned: count, moved: count, gone: 0 });
  expect(await stage.missingIn(before)).toEqual([]);
  expect(await stage.changedAtSource(before)).toEqual([]);
});

it.each<[string, FilterRules, string]>([
  ['MIGRATE as it is queued', { alter: { MIGRATE: misspelt } }, 'unknown command'],
  ['MIGRATE', { refuse: { MIGRATE: unknown } }, unknown],
  [
    'MIGRATE and MULTI',
    { refuse: { MIGRATE: 'NOPERM not you', MULTI: unknown } },
    'NOPERM not you',
  ],
])('says so where the source refuses %s', async (_, rules, words) => {
  await fillStrings(stage.source, { count: 50, valueBytes: 20 });
  const before = await snapshot(stage.source.client);
  const report = await run(rules);
  expect(report.keys).toEqual({ scanned: 50, moved: 0, gone: 0, conflicting: 0, failed: 50 });
  expect(report.failures[0]?.message).toContain(words);
  expect(await stage.changedAtSource(before)).toEqual([]);
  expect(await stage.cluster.size()).toBe(0);
});
