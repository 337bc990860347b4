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

it('wraps findings at the width of the terminal, below one another', () => {
  const lines = summarizeAssess(report, undefined, 70).split('\n');
  expect(lines[0]).toBe(
    "✗ Can't move as it is: a:1/0, case 3: commands use keys of several slots, which must change first",
  );
  const findings = lines.slice(lines.indexOf('Findings') + 1).filter((line) => line !== '');
  expect(Math.max(...findings.map(({ length }) => length))).toBeLessThan(70);
  expect(findings[0]).toMatch(/^ {2}blocking {3}word/);
  expect(findings[1]).toMatch(/^ {13}word/);
  expect(findings.at(-1)).toBe('  note       short');
});

it('has the colour of its verdict', () => {
  const text = summarizeAssess(report, colours.createColors(true));
  expect(text).toMatch(/^\u001b\[31m✗/);
  expect(text).toContain('\u001b[31mblocking ');
});
