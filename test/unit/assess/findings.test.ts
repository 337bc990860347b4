/** What was counted and not seen is not known, and what this program asked is not the application's. */
import { expect, it } from 'vitest';
import type { DataFacts } from '../../../src/assess/data.js';
import { summarizeAssess } from '../../../src/assess/sections.js';
import type { Known, WatchReport } from '../../../src/assess/assess-report.js';
import {
  countsAround,
  type CommandCount,
  isImportAlone,
  withOwn,
} from '../../../src/assess/stats.js';
import { buildAssessReport } from '../../../src/assess/findings.js';

const data: DataFacts = {
  ...{ databases: [{ db: 0, keys: 1, expiring: 0 }], collisions: [], compared: [] },
  ...{ sampled: 1, types: [], shareError: 0, meanBytes: 1, sizesBy: 'MEMORY USAGE', largest: [] },
  ...{ loadedSlots: [], modules: [], functions: [] },
};
const watch: WatchReport = {
  ...{ commands: 5, durationMs: 1000, endedBy: 'time', patterns: [], cut: [] },
  ...{
    leftOut: { inTrouble: 0, others: 0 },
    databases: [{ db: 0, clients: [{ host: 'a', connections: 1 }] }],
  },
};

function verdict(known: Partial<Known>) {
  return buildAssessReport({
    ...{
      from: 'a:1',
      takenAt: '',
      source: { product: 'Redis', version: '7.0.15' },
      commandStats: [],
      data,
    },
    ...{ version: '1', ...known },
  });
}

const count = (command: string, concern: CommandCount['concern'], more = {}): CommandCount => ({
  ...{ command, concern, calls: 5, ...more },
});

it.each([
  [count('blpop', 'blocking'), 'undecided'],
  [count('wait', 'blocking'), 'can-move'],
  [count('sunionstore', 'multi-key'), 'undecided'],
  [count('swapdb', 'database'), 'undecided'],
  [count('select', 'database'), 'can-move'],
] as const)('of %j without a watch', (one, status) => {
  expect(verdict({ commandStats: [one] }).status).toBe(status);
});

it.each([
  ['wait', 'blocking', /covers only the node/],
  ['waitaof', 'blocking', /covers only the node/],
  ['psubscribe', 'pub/sub', /subscribed to at every master/],
  ['select', 'database', /a cluster takes SELECT 0 only/],
  ['replicaof', 'refused', /CLUSTER REPLICATE/],
  ['flushall', 'per-node', /flushall answers for one node only/],
] as const)('tells what %s means in a cluster, and lets it move', (command, concern, words) => {
  const { status, findings } = verdict({ commandStats: [count(command, concern)] });
  expect(status).toBe('can-move');
  expect(findings.map(({ message }) => message).join()).toMatch(words);
});

it('needs to have seen what was counted', () => {
  const unseen = [count('sunionstore', 'multi-key', { watched: 0, duringWatch: 0 })];
  expect(verdict({ watch, commandStats: unseen })).toMatchObject({ status: 'undecided' });
  const seen = [count('sunionstore', 'multi-key', { watched: 1, duringWatch: 1 })];
  expect(verdict({ watch, commandStats: seen })).toMatchObject({ status: 'can-move', case: 1 });
});

it('blocks on other databases, with who used them, and stays case 1', () => {
  const databases = [
    ...watch.databases,
    { db: 3, clients: [{ host: '1.1.1.1', name: 'web', connections: 2 }] },
  ];
  const report = verdict({ watch: { ...watch, databases } });
  expect(report).toMatchObject({ status: 'cannot-move', case: 1 });
  expect(report.findings[0]?.message).toContain('db3 by 1.1.1.1 (web, 2 connections)');
});

it('does not know of names that were not compared', () => {
  const databases = [0, 3].map((db) => ({ db, keys: 100, expiring: 0 }));
  const compared = [{ db: 3, names: 50, keys: 100 }];
  const report = verdict({ data: { ...data, databases, compared } });
  expect(report.status).toBe('undecided');
  expect(summarizeAssess(report)).toContain('50 of 100 names of db3');
  const all = [{ db: 3, names: 100, keys: 100 }];
  expect(verdict({ data: { ...data, databases, compared: all } }).status).toBe('can-move');
});

it('takes what was counted between its first look and the watch for its own', () => {
  const counts = countsAround({
    first: [count('mget', 'multi-key')],
    before: [count('mget', 'multi-key'), count('randomkey', 'per-node')],
    after: [
      count('mget', 'multi-key', { calls: 7 }),
      count('randomkey', 'per-node'),
      count('keys', 'per-node', { calls: 1 }),
    ],
    seen: new Map([['mget', 2]]),
  });
  expect(counts).toEqual([
    { command: 'mget', concern: 'multi-key', calls: 7, duringWatch: 2, watched: 2 },
    { command: 'keys', concern: 'per-node', calls: 1, duringWatch: 1, watched: 0 },
  ]);
});

const statsOf = (...names: string[]): ReadonlyMap<string, string> =>
  new Map(names.map((name) => [`cmdstat_${name}`, 'calls=5,usec=1']));
/** What a copy asks a source for. */
const byCopy = ['multi', 'exec', 'mget', 'exists', 'dump', 'pttl', 'scan', 'config|get', 'ping'];

const none = { some: false, all: false };
const mixed = { some: true, all: false };
const ours = { some: true, all: true };

it.each([
  ['a copy alone', byCopy, none, true],
  ['a move, with scripts of its own', [...byCopy, 'evalsha', 'unlink'], ours, true],
  ['a move of nothing', ['exists', 'scan'], ours, true],
  ['scripts that may be anybody’s', [...byCopy, 'evalsha'], mixed, false],
  ['an application that writes', [...byCopy, 'set'], ours, false],
  ['an application that reads', [...byCopy, 'hgetall'], ours, false],
  ['an application, and no import', ['mget', 'ping'], none, false],
] as const)('knows of %s', (_, names, scripts, isAlone) => {
  expect(isImportAlone(statsOf(...names), scripts)).toBe(isAlone);
});

it('notes what counts as an import’s, and lets it move', () => {
  const report = verdict({
    commandStats: withOwn([count('mget', 'multi-key')], { isAlone: true, ownScripts: false }),
  });
  expect(report).toMatchObject({ status: 'can-move', case: 1 });
  expect(report.findings.map(({ message }) => message).join()).toMatch(/\(mget 5×\), and nothing/);
});
