import colours from 'picocolors';
import { expect, it } from 'vitest';
import { summarizeAssess } from '../../../src/assess/sections.js';
import type { AssessReport } from '../../../src/assess/assess-report.js';

const report: AssessReport = {
  status: 'cannot-move',
  case: 3,
  from: 'a:1/0',
  takenAt: '2026-11-29T12:00:00.000Z',
  source: { product: 'Redis', version: '7.0.15' },
  commandStats: [],
  data: {
    databases: [],
    collisions: [],
    compared: [],
    sampled: 0,
    types: [],
    shareError: 0,
    meanBytes: 0,
    sizesBy: 'MEMORY USAGE',
    largest: [],
    loadedSlots: [],
    modules: [],
    functions: [],
  },
  findings: [
    { blocking: true, message: Array.from({ length: 30 }, () => 'word').join(' ') },
    { blocking: false, message: 'short' },
  ],
  version: '1.2.3',
};

const watch: NonNullable<AssessReport['watch']> = {
  commands: 5,
  durationMs: 1000,
  endedBy: 'time',
  patterns: [
    {
      pattern: `MGET ${'k:<n> '.repeat(20)}${'x'.repeat(150)}`,
      kind: 'command',
      trouble: 'cross-slot',
      count: 12_345,
      clients: [{ host: '10.0.1.7', name: 'web', connections: 3 }],
      repair: Array.from({ length: 30 }, () => 'repair').join(' '),
    },
    { pattern: 'MGET {a}:1 {a}:2', kind: 'command', count: 7, clients: [] },
  ],
  leftOut: { inTrouble: 0, others: 0 },
  databases: [],
  cut: [],
};

it.each([60, 80, 120])('fits into %d columns, whatever its cells hold', (columns) => {
  const text = summarizeAssess({ ...report, watch }, undefined, columns);
  expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThan(columns);
  expect(text).toMatch(/\n {2}cross-slot {2}command {2}12,345× {2}MGET k:<n> k:<n>/);
  expect(text).toMatch(/\n {2}one slot {4}command {7}7× {2}MGET \{a\}:1 \{a\}:2\n/);
  expect(text).toMatch(/\n {4}repair repair/);
  expect(text).toContain('\n    by 10.0.1.7 (web, 3 connections)\n');
  expect(text.replace(/[\s]/g, '')).toContain('x'.repeat(150));
});

it('has a line for each row where nobody says how wide lines may be', () => {
  const lines = summarizeAssess({ ...report, watch }).split('\n');
  expect(lines.filter((line) => line.includes('cross-slot'))).toEqual([
    expect.stringMatching(/x{150}$/),
  ]);
});

it('wraps findings at the width of the terminal, below one another', () => {
  const lines = summarizeAssess(report, undefined, 70).split('\n');
  expect(lines.slice(0, 2)).toEqual([
    "✗ Can't move as it is: a:1/0, case 3: commands use keys of several",
    '  slots, which must change first',
  ]);
  const findings = lines.slice(lines.indexOf('Findings') + 1).filter((line) => line !== '');
  expect(Math.max(...findings.map(({ length }) => length))).toBeLessThan(70);
  expect(findings[0]).toMatch(/^ {2}blocking {2}word/);
  expect(findings[1]).toMatch(/^ {12}word/);
  expect(findings.at(-1)).toBe('  note      short');
});

it('has the colour of its verdict', () => {
  const text = summarizeAssess(report, colours.createColors(true));
  expect(text).toMatch(/^\u001b\[31m✗/);
  expect(text).toContain('\u001b[31mblocking\u001b[39m  word');
});

it('says above each table what its columns are, and has none where there is nothing', () => {
  const commandStats = [
    { command: 'mget', calls: 12, concern: 'multi-key', duringWatch: 0, watched: 0 },
    { command: 'del', calls: 3, concern: 'multi-key', duringWatch: 2, watched: 1 },
  ] as const;
  const databases = [{ db: 3, keys: 1, expiring: 0 }];
  const known = { ...report, commandStats, data: { ...report.data, databases } };
  const lines = summarizeAssess(known).split('\n');
  const at = lines.indexOf('Commands since the start of the server');
  expect(lines.slice(at + 1, at + 4)).toEqual([
    '  kind       command  calls  during the watch  seen in it',
    '  multi-key  mget       12×',
    '  multi-key  del         3×                2×          1×',
  ]);
  const below = lines.indexOf('Databases');
  expect(lines.slice(below + 1, below + 3)).toEqual([
    '  database  keys  of these expire',
    '  db3          1            0.0 %',
  ]);
});

it('names how many patterns it leaves to the JSON, below the others', () => {
  const [first] = watch.patterns;
  const patterns = Array.from({ length: 103 }, () => first as (typeof watch.patterns)[number]);
  const text = summarizeAssess({ ...report, watch: { ...watch, patterns } });
  expect(text).toContain('\n  and 3 more: assess --json lists them all\n');
  expect(text).toMatch(/\n {2}verdict {5}kind {5}/);
});
