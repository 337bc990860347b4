import colours from 'picocolors';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatDuration } from '../../src/format.js';
import { buildReport, type RunEnd } from '../../src/report.js';
import { summarize } from '../../src/summary.js';
import type { KeyFailure, TallySnapshot } from '../../src/types.js';
import { well } from '../support/tallies.js';

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
  onBothSides: 0,
  nodes: [
    {
      address: '10.0.0.1:7000',
      keys: 999_000,
      bytes: 63_000_000,
      inflightKeys: 3,
      retries: 0,
      unmoved: 0,
      health: well,
    },
    {
      address: '10.0.0.2:7000',
      keys: 990,
      bytes: 1_000_000,
      inflightKeys: 0,
      retries: 0,
      unmoved: 0,
      health: well,
    },
  ],
  sources: [],
  causes: [],
  failures: [],
  latestFailures: [],
  earlierShare: 0,
  progress: 1,
  sourceKeysLeft: 0,
  expectedKeys: null,
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
      startedAt: '1970-01-01T00:00:01.000Z',
      endedAt: '1970-01-01T00:00:05.000Z',
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
    const { key, ...why } = conflict(Buffer.from('\u001b[31mred\u009b\u202e'));
    const causes = [{ ...why, from: 's:1/0', count: 3, examples: [key] }];
    const text = summarize(buildReport({ ...snapshot, conflicting: 3, causes }, end));
    expect(text).toContain('! Incomplete: 3 of 1,000,000 keys are left (a:1/0 → b:2)');
    expect(text).toContain(
      '3 conflict: is there\n    for example "\\u001b[31mred\\u009b\\u202e"\n',
    );
    expect(text).toContain('--replace');
  });

  it('shows what both sides hold, and what all runs account for', () => {
    const held = {
      sources: { atStart: 200_000, now: 0 },
      cluster: { atStart: 0, now: 200_000 },
    };
    const accounted = { keys: 200_000, of: 200_000, runs: 3 };
    const next = 'cluster-import check --to b:2';
    const text = summarize(buildReport(snapshot, { ...end, held, accounted, next }));
    expect(text).toContain('source       0 keys now (200,000 at the first start)\n');
    expect(text).toContain('cluster      200,000 keys now (0 at the first start)\n');
    expect(text).toContain('accounted    200,000 of 200,000 keys, over 3 runs\n');
    expect(
      text
        .trimEnd()
        .endsWith(`Next: If the cluster is sound, the clients can be pointed at it:\n  ${next}`),
    ).toBe(true);
  });

  it('counts what left before, whatever a killed run had written down', () => {
    const accounted = { keys: 1_023_400, of: 1_023_500, runs: 2 };
    const earlier = { runs: 1, moved: 0 };
    const text = summarize(buildReport(snapshot, { ...end, accounted, earlier }));
    expect(text).toContain('an earlier run, which had moved at least 23,400 keys.');
    expect(text).toContain('1,023,400 of 1,023,500 keys, over 2 runs; the others were gone before');
  });

  it('has the rate of the time when it was not paused', () => {
    const extremes = {
      ...{ pausedMs: 2000, peakKeysPerSecond: null, longestSourceLatencyMs: null },
      sparing: undefined,
    };
    expect(buildReport(snapshot, { ...end, extremes }).keysPerSecond).toBe(499_995);
  });

  it('knows no bytes of what a dry run only counted', () => {
    const found = { types: { string: 999_990 }, present: 0 };
    const text = summarize(buildReport(snapshot, { ...end, mode: 'dry-run', found }));
    expect(text).toMatch(/^ {2}10\.0\.0\.2:7000 +990 keys$/m);
  });

  it('leaves out what nobody could count', () => {
    const held = { sources: { atStart: null, now: null }, cluster: { atStart: null, now: 5 } };
    const accounted = { keys: 7, of: null, runs: 1 };
    const text = summarize(buildReport(snapshot, { ...end, held, accounted }));
    expect(text).toMatch(/^ {2}cluster {6}5 keys now$/m);
    expect(text).toMatch(/^ {2}accounted {4}7 keys$/m);
    expect(text).not.toMatch(/^ {2}source/m);
  });

  it('has the colour of its end, where colours are wanted', () => {
    const bright = colours.createColors(true);
    const of = (cut: RunEnd['cut'], failed = 0): string =>
      summarize(buildReport({ ...snapshot, failed }, { ...end, cut }), bright);
    expect(of(undefined)).toMatch(/^\u001b\[32m✓/);
    expect(of(undefined, 1)).toMatch(/^\u001b\[33m!/);
    expect(of({ error: 'no' })).toMatch(/^\u001b\[31m✗/);
  });

  it('says how to go on after a stop', () => {
    const text = summarize(buildReport(snapshot, { ...end, cut: { error: 'The source died.' } }));
    expect(text).toContain('The source died.');
    expect(text).toContain('run the same command again');
    expect(text).not.toContain('both sides');
  });

  it('says how many keys may be on both sides after a stop', () => {
    const cut = 'interrupted';
    const text = summarize(buildReport({ ...snapshot, onBothSides: 328 }, { ...end, cut }));
    expect(text).toContain('Up to 328 keys may be on both sides');
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
