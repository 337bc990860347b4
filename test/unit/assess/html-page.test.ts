import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import type { AssessReport } from '../../../src/assess/assess-report.js';
import { openPage } from '../../../src/assess/html-page.js';
import { setFolder } from '../../support/folder.js';

const newPath = setFolder();

const pattern = { kind: 'command', count: 7, clients: [] } as const;
const report: AssessReport = {
  ...{ status: 'cannot-move', case: 3, from: 'a:1/0', takenAt: '2026-11-29T12:00:00.000Z' },
  source: { product: 'Redis', version: '7.0.15' },
  commandStats: [],
  data: {
    ...{ databases: [{ db: 3, keys: 1, expiring: 0 }], collisions: [], compared: [] },
    ...{ sampled: 0, types: [], shareError: 0, meanBytes: 0, sizesBy: 'MEMORY USAGE' },
    ...{ largest: [], loadedSlots: [], modules: [], functions: [] },
  },
  watch: {
    ...{ commands: 5, durationMs: 1000, endedBy: 'time' },
    patterns: [
      { ...pattern, pattern: 'MGET a b', trouble: 'cross-slot' },
      { ...pattern, pattern: 'SUNION a b', trouble: 'cross-slot' },
      { ...pattern, pattern: 'MGET {a}:1 {a}:2' },
    ],
    ...{ leftOut: { inTrouble: 0, others: 0 }, databases: [], cut: [] },
  },
  findings: [
    { blocking: true, message: '2 patterns use keys of several slots.' },
    { blocking: true, message: 'Other databases were used.' },
  ],
  version: '1.2.3',
};

async function pageOf(shown: AssessReport): Promise<string> {
  const path = newPath('report.html');
  const page = await openPage(path);
  await page.write(shown);
  await page.close();
  return readFile(path, 'utf8');
}

it('says above each table what its columns are', async () => {
  const text = await pageOf(report);
  expect(text).toContain(
    '<thead><tr><th scope="col">database</th><th scope="col" class="number">keys</th>',
  );
  expect(text).toContain('<th scope="col">verdict</th><th scope="col">kind</th>');
});

it('counts each pattern that has to be changed', async () => {
  const changes = /to be changed first<\/dt><dd>(\d+)</;
  expect(changes.exec(await pageOf(report))?.[1]).toBe('3');
  const { watch, ...unwatched } = report;
  expect(watch?.patterns).toHaveLength(3);
  const findings = report.findings.slice(1);
  expect(changes.exec(await pageOf({ ...unwatched, findings }))?.[1]).toBe('1');
});
