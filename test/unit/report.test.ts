import { describe, expect, it } from 'vitest';
import { formatBytes, formatDuration } from '../../src/format.js';
import { buildReport, type RunEnd } from '../../src/report.js';
import { summarize } from '../../src/summary.js';
import type { KeyFailure, TallySnapshot } from '../../src/types.js';

const snapshot: TallySnapshot = {
  startedAtMs: 1000,
  scanned: 1_000_000,
  moved: 999_990,
  gone: 10,
  conflicting: 0,
  failed: 0,
  bytes: 64_000_000,
  retries: 5,
  redirects: 2,
  nodes: [
    { address: '10.0.0.1:7000', keys: 999_000, bytes: 63_000_000, inflightKeys: 3, retries: 0 },
    { address: '10.0.0.2:7000', keys: 990, bytes: 1_000_000, inflightKeys: 0, retries: 0 },
  ],
  failures: [],
  latestFailures: [],
  earlierShare: 0,
  progress: 1,
  sourceKeysLeft: 0,
};

const end: RunEnd = {
  from: ['a:1/0'],
  to: 'b:2',
  mode: 'move',
  mover: 'relay',
  moverReason: 'the default',
  version: '1.2.3',
  endedAtMs: 5000,
};

const conflict = (key: Buffer): KeyFailure => ({ key, class: 'conflict', message: 'is there' });

describe('the report', () => {
  it('has the names that scripts rely on', () => {
    expect(buildReport(snapshot, end)).toEqual({
      status: 'complete',
      from: ['a:1/0'],
      to: 'b:2',
      mode: 'move',
      mover: 'relay',
      moverReason: 'the default',
      keys: { scanned: 1_000_000, moved: 999_990, gone: 10, conflicting: 0, failed: 0 },
      bytes: 64_000_000,
      durationMs: 4000,
      keysPerSecond: 249_998,
      nodes: [
        { address: '10.0.0.1:7000', keys: 999_000, bytes: 63_000_000 },
        { address: '10.0.0.2:7000', keys: 990, bytes: 1_000_000 },
      ],
      failures: [],
      retries: 5,
      redirects: 2,
      version: '1.2.3',
    });
  });

  it.each([
    [{ conflicting: 1 }, undefined, 'incomplete'],
    [{ failed: 1 }, undefined, 'incomplete'],
    [{ failed: 1 }, 'interrupted', 'interrupted'],
    [{}, 'interrupted', 'interrupted'],
    [{}, { error: 'lost it' }, 'failed'],
  ] as const)('of %o, cut by %o, is %s', (counts, cut, status) => {
    expect(buildReport({ ...snapshot, ...counts }, { ...end, cut }).status).toBe(status);
  });

  it('writes keys as text where they are, else as base64', () => {
    const keys = ['plain', 'Zoë\0', ''].map((key) => Buffer.from(key));
    const failures = [...keys, Buffer.from([0xff, 0xfe])].map(conflict);
    expect(
      buildReport({ ...snapshot, failures }, end).failures.map((f) => [f.key, f.keyEncoding]),
    ).toEqual([
      ['plain', 'utf8'],
      ['Zoë\0', 'utf8'],
      ['', 'utf8'],
      ['//4=', 'base64'],
    ]);
  });

  it('knows no infinite speed', () => {
    const report = buildReport(snapshot, { ...end, endedAtMs: snapshot.startedAtMs });
    expect(report.keysPerSecond).toBe(0);
  });
});

describe('the summary', () => {
  it('says what moved where, and how fast', () => {
    const text = summarize(buildReport(snapshot, end));
    expect(text).toContain('Complete');
    expect(text).toContain('999,990');
    expect(text).toContain('249,998 keys/s');
    expect(text).toMatch(/10\.0\.0\.2:7000 +990 keys/);
    expect(text).not.toContain('conflicting');
  });

  it('names what is left, its reasons and what to do', () => {
    const failures = [conflict(Buffer.from('\u001b[31mred\u009b\u202e'))];
    const text = summarize(buildReport({ ...snapshot, conflicting: 3, failures }, end));
    expect(text).toContain('conflict  "\\u001b[31mred\\u009b\\u202e"  is there');
    expect(text).toContain('and 2 more');
    expect(text).toContain('--replace');
  });

  it('says how to go on after a stop', () => {
    const text = summarize(buildReport(snapshot, { ...end, cut: { error: 'The source died.' } }));
    expect(text).toContain('The source died.');
    expect(text).toContain('run the same command again');
  });
});

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [999_999, '1.0 MB'],
  [64_000_000, '64.0 MB'],
  [5e15, '5.0 PB'],
])('writes %d bytes as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

it.each([
  [400, '0.4 s'],
  [9_999, '10 s'],
  [59_999, '1 min 00 s'],
  [185_000, '3 min 05 s'],
  [7_620_000, '2 h 07 min'],
])('writes %d ms as %s', (durationMs, text) => {
  expect(formatDuration(durationMs)).toBe(text);
});
