import { stripVTControlCharacters } from 'node:util';
import colours from 'picocolors';
import { describe, expect, it } from 'vitest';
import { widthOf } from '../../../src/format.js';
import { fit, flow } from '../../../src/watch/table.js';
import { busyFirst, viewLines } from '../../../src/watch/view.js';
import { progressLine } from '../../../src/watch/progress.js';
import type { FollowStatus, NodeTally, ServerHealth, SourceTally } from '../../../src/types.js';
import { at, facts, standingAt, unsteered, well } from '../../support/tallies.js';
import type { SourceSample } from '../../../src/watch/sampler.js';

const plain = colours.createColors(false);
const bright = colours.createColors(true);

const nodes: readonly NodeTally[] = Array.from({ length: 3 }, (_, nth) => ({
  address: `10.0.0.${String(nth)}:7000`,
  keys: 411_522,
  bytes: 26_337_408,
  inflightKeys: 2048,
  retries: 7,
  unmoved: 0,
  health: well,
}));
const conflict = { key: Buffer.from('user:42'), class: 'conflict', message: 'is there' } as const;
const causes = [{ ...conflict, from: 's:1/0', count: 2, examples: [conflict.key] }];
const size = { columns: 140, rows: 40 };
const running = standingAt({ snapshot: at(30, { moved: 1_234_567, nodes, expectedKeys: 4e6 }) });
const troubled = standingAt({
  snapshot: at(30, { nodes, conflicting: 3, failed: 1, causes }),
});
const viewOf = (changes: Parameters<typeof standingAt>[0]): string =>
  viewLines(standingAt(changes), size, plain).join('\n');

describe('the view', () => {
  it('shows what goes where, how far, how fast, how long, and to which nodes', () => {
    const lines = viewLines(running, size, plain);
    expect(lines[0]).toBe('moving 10.0.0.5:6379/0 → 10.0.1.1:7000 (3 nodes) · via relay');
    expect(lines[1]).toMatch(/^━+─+ 30\.0 %$/);
    expect(lines.slice(2, 4)).toEqual([
      '1,234,567 of 4,000,000 keys · 331,000 keys/s · 21.0 MB/s · 30 s so far · 1 min 02 s left',
      'source latency 0.4 ms',
    ]);
    expect(lines[5]).toMatch(/^node +keys +keys\/s +share +in flight +retries$/);
    expect(lines[6]).toMatch(/^10\.0\.0\.0:7000 +ok +411,522 +165,500 +50\.0 % +2,048 +7$/);
    expect(lines).toHaveLength(9);
  });

  it('says which limits hold, and what the keys do', () => {
    const steering = { ...unsteered, keysPerSecond: 60_000, sourceLatencyMs: 5, allowedKeys: 48 };
    const limited = standingAt({ snapshot: at(30), facts: { ...facts, steering } });
    const lines = viewLines(limited, size, plain, { hint: 'p pause' });
    expect(lines.slice(0, 2).join(' · ')).toContain(
      'limit 60,000 keys/s · limit source latency 5 ms (48 keys under way at most) · via relay',
    );
    expect(lines.at(-1)).toBe('p pause');
  });

  it('says for how long the run is paused in the place of the time left', () => {
    const paused = standingAt({
      snapshot: at(30),
      facts: { ...facts, steering: { ...unsteered, isPaused: true } },
      pausedMs: 12_000,
    });
    expect(viewLines(paused, size, plain).join()).toMatch(/ so far · PAUSED for 12 s/);
    expect(progressLine(paused)).toContain('PAUSED for 12 s');
    expect(viewLines(paused, size, bright)[1]).toContain('\u001b[33m━');
  });

  it('says no time of a pause that has just begun', () => {
    const steering = { ...unsteered, isPaused: true };
    const text = viewOf({ snapshot: at(30), facts: { ...facts, steering }, pausedMs: 20 });
    expect(text).toMatch(/ · PAUSED · /);
  });

  it('names a source that is away once, though its reason names the server', () => {
    const why = '10.0.0.5:6379 did not answer within 2000 ms';
    const health: ServerHealth = { state: 'away', sinceMs: 18_000, why };
    const from = { moved: 0, conflicting: 0, failed: 0, keysLeft: 10, progress: 0.5, health };
    const text = viewOf({ snapshot: at(30, { sources: [{ name: '10.0.0.5:6379/0', ...from }] }) });
    expect(text).toContain('✗ 10.0.0.5:6379/0: did not answer within 2000 ms');
  });

  it('names what a run that stalls waits for', () => {
    const stall = { forMs: 6000, waitingFor: ['10.0.1.2:7000'] };
    const stalled = standingAt({ snapshot: at(30), stall });
    expect(progressLine(stalled)).toContain('stalled for 6.0 s: waiting for 10.0.1.2:7000');
    expect(viewLines(stalled, size, bright)[1]).toContain('\u001b[33m━');
  });

  it('tells the rate of now and the average where they differ', () => {
    const speed = {
      keysPerSecond: 10_000,
      averageKeysPerSecond: 41_200,
      bytesPerSecond: 1,
      leftMs: undefined,
      stalledMs: 0,
      pausedMs: 0,
    };
    expect(viewOf({ snapshot: at(30), speed })).toContain(
      '10,000 keys/s now, 41,200 on average · 1 B/s · 30 s so far · estimating …',
    );
  });

  it('shows nodes that are in trouble, and why', () => {
    const away: ServerHealth = { state: 'away', sinceMs: 18_000, why: 'connection refused' };
    const slow: ServerHealth = { state: 'slow', sinceMs: 27_000, why: 'no answer' };
    const given: ServerHealth = { state: 'given-up', sinceMs: 1000, why: 'it was away' };
    const some = [away, slow, given].map((health, nth) => ({
      ...(nodes[nth] as NodeTally),
      health,
      unmoved: nth,
    }));
    const text = viewOf({ snapshot: at(30, { nodes: some }) });
    expect(text).toContain('✗ 10.0.0.0:7000: connection refused\n✗ 10.0.0.2:7000: it was away');
    expect(text).toMatch(/10\.0\.0\.0:7000 +away for 12 s +411,522 /);
    expect(text).toMatch(/10\.0\.0\.1:7000 +slow for 3\.0 s .* 1\n/);
    expect(text).toMatch(/10\.0\.0\.2:7000 +given up .* 2$/);
    const coloured = viewLines(standingAt({ snapshot: at(30, { nodes: some }) }), size, bright);
    expect(coloured.join('\n')).toContain('\u001b[1m\u001b[31m  given up');
  });

  it('has a row for each of several sources', () => {
    const sources: SourceTally[] = ['a:1/0', 'b:1/3'].map((name, nth) => ({
      name,
      moved: 1000 * (nth + 1),
      conflicting: nth,
      failed: 0,
      keysLeft: 10,
      progress: 0.5,
      health: well,
    }));
    const text = viewOf({ snapshot: at(30, { nodes, sources }) });
    expect(text).toMatch(/source +keys .*\na:1\/0 +ok +1,000 .*\nb:1\/3 +ok +2,000 .* 1\nnode /);
    const [one] = sources;
    expect(viewOf({ snapshot: at(30, { nodes, sources: one ? [one] : [] }) })).not.toContain(
      'a:1/0',
    );
  });

  it('draws what is left behind as what it is, and never 100 % of a run that leaves some', () => {
    const some = { moved: 999_999, failed: 1, progress: 1 };
    const left = standingAt({ snapshot: at(30, some) });
    const [, bar = ''] = viewLines(left, size, plain);
    expect(bar).toMatch(/ 99\.9 %$/);
    expect(viewLines(left, size, bright)[1]).toContain('\u001b[31m━\u001b[39m');
    const half = standingAt({ snapshot: at(30, { moved: 50, conflicting: 50, progress: 0.5 }) });
    expect(viewLines(half, size, plain)[1]).toMatch(/ 25\.0 %$/);
    expect(viewLines(half, size, bright)[1]).toMatch(/\u001b\[33m━{20,}\u001b/);
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
      progressLine(
        standingAt({
          snapshot: at(30),
          facts: { ...facts, follow: () => ({ ...status, ...more }) },
        }),
      );
    expect(lineOf({})).toMatch(
      / · 30 s so far · source latency 0\.4 ms · following · 1 changed key waits · lag 12 ms · 1,234 changes heard · a cutover would hold writes for about 8 ms$/,
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
    expect(header(80)).toEqual(['node', 'keys', 'keys/s', 'share', 'in flight', 'retries']);
    expect(header(36)).toEqual(['node', 'keys', 'keys/s']);
    expect(header(24)).toEqual(['node', 'keys']);
  });

  it.each([1, 2, 5, 8, 24])('fits into %d rows, whatever the number of nodes', (rows) => {
    const many = Array.from({ length: 200 }, (_, nth) => ({
      ...(nodes[0] as NodeTally),
      address: `10.0.1.${String(nth)}:7000`,
    }));
    const sample = standingAt({ snapshot: at(30, { nodes: many, causes }) });
    const lines = viewLines(sample, { columns: 100, rows }, plain);
    expect(lines.length).toBeLessThanOrEqual(Math.max(1, rows - 1));
    if (rows === 24) expect(lines.join('\n')).toMatch(/… and 18\d more/);
  });

  it('tells of conflicts and failures as they appear', () => {
    const lines = viewLines(troubled, { columns: 140, rows: 40 }, plain);
    expect(lines.join('\n')).toMatch(/3 conflicting · 1 failed/);
    expect(lines.at(-1)).toBe('! 2 conflict: is there – for example "user:42"');
  });

  it('lets no key and no server write to the terminal', () => {
    const key = Buffer.from('\u001b[31mred\u202e');
    const cause = {
      from: 's:1/0',
      class: 'other',
      message: 'a\u001b[2Jb',
      count: 1,
      examples: [key],
    } as const;
    const text = viewOf({ snapshot: at(1, { failed: 1, causes: [cause] }) });

    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    expect(text).toContain('a\\u001b[2Jb – "\\u001b[31mred\\u202e"');
  });

  it('promises no time that it does not know', () => {
    const text = viewOf({
      snapshot: at(1),
      speed: {
        keysPerSecond: 0,
        averageKeysPerSecond: 0,
        bytesPerSecond: 0,
        leftMs: undefined,
        stalledMs: 0,
        pausedMs: 0,
      },
      latencySeconds: undefined,
    });
    expect(text).toContain(' · estimating …');
    expect(text).not.toContain('source latency');
  });

  it('says of a dry run what it counts, and no bytes that it does not read', () => {
    const text = viewOf({
      snapshot: at(30, { scanned: 500, moved: 500 }),
      facts: { ...facts, mode: 'dry-run' },
    });
    expect(text).toContain('500 keys · ');
    expect(text).not.toMatch(/B\/s/);
  });

  it('has colours only where they are wanted', () => {
    expect(viewLines(running, size, bright).join()).toContain('\u001b[');
    expect(viewLines(running, size, plain).join()).not.toContain('\u001b');
  });
});

it('says the same on one line', () => {
  expect(progressLine(troubled)).toBe(
    '30.0 % · 30,000 keys · 331,000 keys/s · 21.0 MB/s · 30 s so far · 1 min 02 s left · ' +
      'source latency 0.4 ms · 3 conflicting · 1 failed',
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

const away: ServerHealth = { state: 'away', sinceMs: 1, why: 'it is' };

function source(name: string, changes: Partial<SourceSample>): SourceSample {
  const counts = { moved: 0, conflicting: 0, failed: 0, keysLeft: 9, keysPerSecond: 0 };
  return { name, ...counts, progress: 0, health: well, ...changes };
}

const all = [
  source('done', { moved: 9, progress: 1 }),
  source('waits', {}),
  source('moves', { moved: 3, progress: 0.3 }),
  source('fails', { failed: 3, progress: 0.3 }),
  source('away', { moved: 3, progress: 0.3, health: away }),
];
const names = (sources: readonly SourceSample[]): string[] => sources.map(({ name }) => name);

it('leaves a few sources in their order', () => {
  expect(busyFirst(all)).toEqual(all);
});

it('shows what wants to be seen of many first, each kind in its order', () => {
  const many = [
    ...Array.from({ length: 20 }, (_, at) => source(`other ${String(at)}`, {})),
    ...all,
  ];
  const sorted = names(busyFirst(many));
  expect(sorted.slice(0, 5)).toEqual(['away', 'moves', 'fails', 'other 0', 'other 1']);
  expect(sorted.slice(-2)).toEqual(['waits', 'done']);
});
