import { stripVTControlCharacters } from 'node:util';
import colours from 'picocolors';
import { describe, expect, it } from 'vitest';
import { fit, flow, viewLines, widthOf } from '../../../src/watch/view.js';
import { progressLine } from '../../../src/watch/progress.js';
import type { FollowStatus, NodeTally } from '../../../src/types.js';
import { at, facts, sampleOf, unsteered } from '../../support/tallies.js';

const plain = colours.createColors(false);
const bright = colours.createColors(true);

const nodes: readonly NodeTally[] = Array.from({ length: 3 }, (_, nth) => ({
  address: `10.0.0.${String(nth)}:7000`,
  keys: 411_522,
  bytes: 26_337_408,
  inflightKeys: 2048,
  retries: 7,
}));
const conflict = { key: Buffer.from('user:42'), class: 'conflict', message: 'is there' } as const;
const running = sampleOf({ snapshot: at(30, { moved: 1_234_567, nodes }) });
const troubled = sampleOf({
  snapshot: at(30, { nodes, conflicting: 3, failed: 1, latestFailures: [conflict, conflict] }),
});

describe('the view', () => {
  it('shows how far, how fast, how long, where to and by what', () => {
    const lines = viewLines(running, { columns: 140, rows: 40 }, plain);
    expect(lines[0]).toMatch(/^━+─+ 30\.0 %$/);
    expect(lines[1]).toBe(
      '1,234,567 keys · 331,000 keys/s · 21.0 MB/s · 30 s so far · 1 min 02 s left · source answers in 0.4 ms',
    );
    expect(lines[2]).toBe('relay: asked for with --mover');
    expect(lines[4]).toMatch(/^node +keys +share +keys\/s +in flight +retries$/);
    expect(lines[5]).toMatch(/^10\.0\.0\.0:7000 +411,522 +50\.0 % +165,500 +2,048 +7 +━{12}$/);
    expect(lines).toHaveLength(8);
  });

  it('says that the run is paused in the place of the time left', () => {
    const paused = { ...running, facts: { ...facts, steering: { ...unsteered, isPaused: true } } };
    const [, line] = viewLines(paused, { columns: 140, rows: 40 }, plain);
    expect(line).toMatch(/ so far · PAUSED · source answers in 0\.4 ms$/);
    expect(progressLine(paused)).toContain('PAUSED');
  });

  it('tells how a source is followed, which has no end to wait for', () => {
    const status: FollowStatus = {
      phase: 'following',
      feed: 'replication',
      changes: 1234,
      copiedAgain: 1000,
      deleted: 3,
      gaps: 0,
      lagMs: { p50: 10, p99: 20, max: 30 },
      heldMs: 0,
      lagNowMs: 12,
      changedKeys: 1,
      expectedHoldMs: 8,
      refused: null,
      cutover: null,
    };
    const lineOf = (more: Partial<FollowStatus>): string =>
      progressLine({ ...running, facts: { ...facts, follow: () => ({ ...status, ...more }) } });
    expect(lineOf({})).toMatch(
      / · 30 s so far · source answers in 0\.4 ms · following · 1 changed key waits · lag 12 ms · 1,234 changes heard · a cutover would hold writes for about 8 ms$/,
    );
    expect(lineOf({ phase: 'copying', expectedHoldMs: null })).toContain('1 min 02 s left');
    expect(lineOf({ gaps: 2 })).toContain(' · 1,234 changes heard · 2 gaps · ');
    expect(lineOf({ changedKeys: null })).toContain('all keys are compared again');
    expect(lineOf({ phase: 'holding', changedKeys: 0 })).toMatch(
      /0 changed keys wait · [^·]+ · [^·]+$/,
    );
    const cutover = {
      at: '',
      heldMs: 9,
      fence: 'pause',
      lateWrites: 0,
      minReplicasToWrite: null,
      source: 'writable',
      keys: { source: 1, cluster: 1 },
    } as const;
    expect(lineOf({ phase: 'cut-over', cutover })).toMatch(/cut-over · writes were held for 9 ms$/);
  });

  it.each([20, 40, 60, 80, 110, 140, 300])('fits into %d columns', (columns) => {
    for (const sample of [running, troubled]) {
      const lines = viewLines(sample, { columns, rows: 40 }, bright).map(stripVTControlCharacters);
      expect(Math.max(...lines.map(widthOf))).toBeLessThan(columns);
      expect(lines.join()).toContain('keys');
    }
  });

  it('leaves out the columns of nodes that matter least', () => {
    const header = (columns: number) => {
      const lines = viewLines(running, { columns, rows: 40 }, plain);
      return lines.find((line) => line.startsWith('node'))?.split(/ {2,}/);
    };
    expect(header(80)).toEqual(['node', 'keys', 'share', 'keys/s', 'in flight', 'retries']);
    expect(header(36)).toEqual(['node', 'keys', 'keys/s']);
    expect(header(24)).toEqual(['node', 'keys']);
  });

  it.each([1, 2, 5, 8, 24])('fits into %d rows, whatever the number of nodes', (rows) => {
    const many = Array.from({ length: 200 }, (_, nth) => ({
      ...(nodes[0] as NodeTally),
      address: `10.0.1.${String(nth)}:7000`,
    }));
    const sample = sampleOf({ snapshot: at(30, { nodes: many, latestFailures: [conflict] }) });
    const lines = viewLines(sample, { columns: 100, rows }, plain);
    expect(lines.length).toBeLessThanOrEqual(Math.max(1, rows - 1));
    if (rows === 24) expect(lines.join('\n')).toMatch(/… and 18\d more/);
  });

  it('tells of conflicts and failures as they appear', () => {
    const lines = viewLines(troubled, { columns: 140, rows: 40 }, plain);
    expect(lines.join('\n')).toMatch(/3 conflicting · 1 failed/);
    expect(lines.at(-1)).toBe('conflict  "user:42"  is there');
  });

  it('lets no key and no server write to the terminal', () => {
    const failure = {
      key: Buffer.from('\u001b[31mred\u202e'),
      class: 'other',
      message: 'a\u001b[2Jb',
    } as const;
    const sample = sampleOf({ snapshot: at(1, { failed: 1, latestFailures: [failure] }) });
    const text = viewLines(sample, { columns: 140, rows: 40 }, plain).join('\n');

    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    expect(text).toContain('"\\u001b[31mred\\u202e"  a\\u001b[2Jb');
  });

  it('promises no time that it does not know, and no mover that is not chosen', () => {
    const sample = sampleOf({
      snapshot: at(1),
      speed: { keysPerSecond: 0, bytesPerSecond: 0, leftMs: undefined },
      latencySeconds: undefined,
      facts: { ...facts, mover: { name: 'relay', reason: 'too short', measuring: true } },
    });
    const text = viewLines(sample, { columns: 140, rows: 40 }, plain).join('\n');
    expect(text).toContain(' · – left\n');
    expect(text).toContain('relay: measuring which mover is faster');
    expect(text).not.toContain('source answers');
  });

  it('has colours only where they are wanted', () => {
    const size = { columns: 100, rows: 40 };
    expect(viewLines(running, size, bright).join()).toContain('\u001b[');
    expect(viewLines(running, size, plain).join()).not.toContain('\u001b');
  });
});

it('says the same on one line', () => {
  expect(progressLine(troubled)).toBe(
    '30.0 % · 30,000 keys · 331,000 keys/s · 21.0 MB/s · 30 s so far · 1 min 02 s left · ' +
      'source answers in 0.4 ms · 3 conflicting · 1 failed',
  );
});

describe('text that must fit', () => {
  it('is cut at its width, not at its length', () => {
    expect(fit('abcdef', 6)).toBe('abcdef');
    expect(fit('abcdefg', 6)).toBe('abcde…');
    expect(fit('键键键键', 6)).toBe('键键…');
    expect(fit('abc', 0)).toBe('');
    expect(widthOf('ключ 键')).toBe(7);
  });

  it('goes on in the next line', () => {
    const pieces = ['aaa', 'bbb', 'cccccccccc'].map((text) => ({ text }));
    expect(flow(pieces, 9)).toEqual(['aaa · bbb', 'cccccccc…']);
  });
});
