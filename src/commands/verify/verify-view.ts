/**
 * How verifying stands, and how people see it: both ways with a bar each, the time left, and what differs by
 * kind while it runs.
 */
import type { Colors } from 'picocolors/types.js';
import { formatCount, formatDuration } from '../../format.js';
import type { Source } from '../../types.js';
import { type DifferenceKind, differenceKinds, type Findings } from '../../verify/differences.js';
import { fit, flow, type Piece } from '../../watch/table.js';
import { plain, type Screen, showRegularly } from '../../watch/screen.js';
import { createWindow } from '../../watch/speed.js';

const widest = 110;
const rateOverMs = 1500;
const lengthOverMs = 10_000;
const knownAfterMs = 2000;

/** One direction. */
interface Way {
  readonly name: string;
  /** 0 to 1. */
  readonly share: number;
  readonly keys: number;
  /** What was done with them. */
  readonly words: string;
}

/** Plain data: what there is to see at a moment. */
export interface VerifyStanding {
  readonly from: readonly string[];
  readonly to: string;
  readonly ways: readonly Way[];
  /** Compared in the last second or two. */
  readonly keysPerSecond: number;
  readonly elapsedMs: number;
  /** Null until it is known. */
  readonly leftMs: number | null;
  readonly differences: number;
  readonly counts: Readonly<Record<DifferenceKind, number>>;
}

export interface VerifyWatched {
  readonly from: readonly string[];
  readonly to: string;
  readonly sources: readonly { readonly keys: Source }[];
  readonly masters: readonly { readonly keys: Source }[];
  readonly findings: Findings;
}

/** @returns reads how it stands. */
export function watchVerify(watched: VerifyWatched, now = Date.now): () => VerifyStanding {
  const { from, to, sources, masters, findings } = watched;
  const startedAtMs = now();
  const rate = createWindow();
  const shares = [createWindow(), createWindow()] as const;
  rate.note(startedAtMs, 0);
  for (const share of shares) share.note(startedAtMs, 0);

  return () => {
    const atMs = now();
    const elapsedMs = atMs - startedAtMs;
    const there = shareOf(sources);
    const back = shareOf(masters);
    rate.note(atMs, findings.compared);
    shares[0].note(atMs, there);
    shares[1].note(atMs, back);
    // Both are under way at the same time: the slower one is the end.
    const leftMs = Math.max(leftOf(there, shares[0]), leftOf(back, shares[1]));
    return {
      from,
      to,
      ways: [
        {
          name: 'source → cluster',
          share: there,
          keys: findings.compared,
          words: 'keys of the source compared',
        },
        {
          name: 'cluster → source',
          share: back,
          keys: findings.lookedBack,
          words: 'keys of the cluster looked up at the source',
        },
      ],
      keysPerSecond: rate.rate(rateOverMs) * 1000,
      elapsedMs,
      leftMs: elapsedMs >= knownAfterMs && leftMs < Infinity ? leftMs : null,
      differences: findings.differences,
      counts: { ...findings.counts },
    };
  };
}

function leftOf(share: number, window: { rate(overMs: number): number }): number {
  return share >= 1 ? 0 : (1 - share) / window.rate(lengthOverMs);
}

/** By their sizes: a small server that is done says little of the rest. */
function shareOf(listed: readonly { readonly keys: Source }[]): number {
  const all = listed.reduce((sum, { keys }) => sum + keys.estimatedKeys, 0);
  const done = listed.reduce((sum, { keys }) => sum + keys.estimatedKeys * keys.progress, 0);
  return all === 0 ? 1 : Math.min(1, done / all);
}

export function verifyLines(standing: VerifyStanding, columns: number, palette: Colors): string[] {
  const width = Math.max(1, Math.min(widest, columns - 1));
  const { from, to, ways } = standing;
  const title = `verifying ${from.join(', ')} ↔ the cluster of ${to}`;
  return [
    palette.bold(fit(title, width)),
    ...ways.flatMap((way) => wayLines(way, width, palette)),
    ...flow(pieces(standing, palette), width),
  ];
}

function wayLines({ name, share, keys, words }: Way, width: number, palette: Colors): string[] {
  const percent = ` ${(share * 100).toFixed(1)} %`;
  const length = Math.max(5, width - percent.length);
  const done = Math.floor(share * length);
  return [
    palette.cyan('━'.repeat(done)) + palette.dim('─'.repeat(length - done)) + palette.bold(percent),
    palette.dim(fit(`${name}: ${formatCount(keys)} ${words}`, width)),
  ];
}

function pieces(standing: VerifyStanding, { bold, red, green }: Colors): Piece[] {
  const { keysPerSecond, elapsedMs, leftMs, differences, counts } = standing;
  const kinds = differenceKinds.filter((kind) => counts[kind] > 0);
  return [
    { text: `${formatCount(keysPerSecond)} keys/s` },
    { text: `${formatDuration(elapsedMs)} so far` },
    {
      text: leftMs === null ? 'estimating …' : `${formatDuration(leftMs)} left`,
      paint: bold,
    },
    ...(differences === 0 ? [{ text: 'no difference so far', paint: green }] : []),
    ...kinds.map((kind) => ({ text: `${formatCount(counts[kind])} ${kind}`, paint: red })),
  ];
}

/** The same on one line. */
export function verifyLine(standing: VerifyStanding): string {
  const ways = standing.ways.map(({ name, share, keys }) => {
    return `${name} ${(share * 100).toFixed(1)} % (${formatCount(keys)} keys)`;
  });
  return [...ways, ...pieces(standing, plain).map(({ text }) => text)].join(' · ');
}

/** @param screen undefined: nothing is shown. */
export function showVerify(
  read: () => VerifyStanding,
  screen: Screen | undefined,
): { stop(): void } {
  const { palette } = screen ?? { palette: plain };
  return showRegularly(screen, {
    lines: () => verifyLines(read(), screen?.columns ?? widest, palette),
    line: () => verifyLine(read()),
  });
}
