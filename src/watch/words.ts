/**
 * How a run stands, in words: the same on the terminal, on the page and by `ctl`. Functions of the snapshot
 * that all of them read.
 */
import { formatBytes, formatCount, formatDuration, hasEnd, harmless } from '../format.js';
import type { ServerHealth } from '../types.js';
import type { LimitsInForce, Standing } from './live.js';

/** What somebody who looks on wants to see at a glance. */
export type Mood = 'well' | 'waiting' | 'held' | 'bad' | 'over';

export interface Said {
  readonly text: string;
  readonly mood: Mood;
}

const doing = {
  move: 'moving',
  copy: 'copying',
  follow: 'following',
  'dry-run': 'counting',
} as const;

/** More sources than that are not named one by one. */
const mostNamed = 8;

/** `moving 10.0.0.5:6379/0 → 10.0.1.1:7000` */
export function routeWords({ report: { mode, from, to } }: Pick<Standing, 'report'>): string {
  return `${doing[mode]} ${sourceWords(from)} → ${to}`;
}

/** `a:1/0, b:1/0, c:1/0 and 97 more` */
export function sourceWords(names: readonly string[]): string {
  if (names.length <= mostNamed) return names.join(', ');
  const named = names.slice(0, 3);
  return `${named.join(', ')} and ${formatCount(names.length - named.length)} more`;
}

/** `208,384 of 1,000,000 keys` */
export function countWords({ report, expectedKeys }: Standing): string {
  const { moved, scanned, gone, conflicting, failed } = report.keys;
  // A dry run counts keys as it comes by them.
  const count = report.mode === 'dry-run' ? scanned - gone - conflicting - failed : moved;
  const total = expectedKeys === null ? undefined : expectedKeys - gone;
  const isEnded = report.status !== 'running';
  if (total === undefined || (total <= count && !isEnded) || report.mode === 'follow') {
    return keysOf(count);
  }
  return `${formatCount(count)} of ${keysOf(isEnded ? Math.max(count, scanned - gone) : total)}`;
}

function keysOf(count: number): string {
  return `${formatCount(count)} ${Math.round(count) === 1 ? 'key' : 'keys'}`;
}

/** What has arrived, of all; never all of it while some is missing. */
export function percentWords({ progress, unmovedProgress }: Standing): string {
  const share = Math.max(0, progress - unmovedProgress) * 100;
  return `${(unmovedProgress > 0 ? Math.min(99.9, share) : share).toFixed(1)} %`;
}

/** `10,000 keys/s`, and the average, where that is another one. */
export function rateWords({ report, keysPerSecond, averageKeysPerSecond }: Standing): string {
  if (report.status !== 'running') return `${formatCount(report.keysPerSecond)} keys/s`;
  const now = `${formatCount(keysPerSecond)} keys/s`;
  const isAsUsual = Math.abs(keysPerSecond - averageKeysPerSecond) <= averageKeysPerSecond * 0.1;
  return isAsUsual ? now : `${now} now, ${formatCount(averageKeysPerSecond)} on average`;
}

/** What there is to say of the time that is left; undefined: there is no end that could be waited for. */
export function timeWords(standing: Standing): Said | undefined {
  const { report, paused, pausedMs, stalled, leftMs, follow } = standing;
  if (report.status !== 'running') return undefined;
  if (paused) return { text: pausedWords(pausedMs ?? 0), mood: 'held' };
  if (!hasEnd(follow)) return undefined;
  if (stalled) {
    const { forMs, waitingFor } = stalled;
    const what = waitingFor.length === 0 ? '' : `: waiting for ${waitingFor.join(', ')}`;
    return { text: `stalled for ${formatDuration(forMs)}${what}`, mood: 'waiting' };
  }
  if (leftMs === null) return { text: 'estimating …', mood: 'well' };
  return { text: `${formatDuration(leftMs)} left`, mood: 'well' };
}

/** Whoever has just paused it need not be told since when. */
function pausedWords(lastedMs: number): string {
  return lastedMs < 1000 ? 'PAUSED' : `PAUSED for ${formatDuration(lastedMs)}`;
}

/** `ok`, `slow for 3.1 s`, `away for 12 s`, `given up` */
export function healthWords({ state, sinceMs }: ServerHealth, atMs: number): Said {
  if (state === 'ok') return { text: 'ok', mood: 'well' };
  if (state === 'given-up') return { text: 'given up', mood: 'bad' };
  const lasted = formatDuration(Math.max(0, atMs - (sinceMs ?? atMs)));
  return { text: `${state} for ${lasted}`, mood: state === 'away' ? 'bad' : 'waiting' };
}

/** Why a server is not well, without its own name, which stands beside it. */
export function whyWords(name: string, { why }: ServerHealth): string {
  return harmless(withoutName(name, why ?? ''));
}

/** @param name of a server, or of a database of one: `host:port/db`. Errors name the server. */
export function withoutName(name: string, words: string): string {
  const server = name.replace(/\/\d+$/, '');
  const own = [`${server} `, `the connection to ${server} `].find((start) =>
    words.startsWith(start),
  );
  return own === undefined ? words : words.slice(own.length).replace(/^broke: /, '');
}

/** A server is slow for its clients, too, from here on, where nobody has said otherwise. */
const slowAboveMs = 50;

export function latencyMood(latencyMs: number, limitMs: number | null = null): Said['mood'] {
  if (latencyMs <= (limitMs ?? slowAboveMs)) return 'well';
  return latencyMs >= 1000 ? 'bad' : 'waiting';
}

/** The longest wait of a client of the source in the last second. */
export function latencyWords({ latencyMs, limits }: Standing): Said | undefined {
  if (latencyMs === null) return undefined;
  const mood = latencyMood(latencyMs, limits.sourceLatencyMs);
  return { text: `source latency ${formatMs(latencyMs)}`, mood };
}

/** `0.4 ms`, `51 ms`, `5.2 s` */
export function formatMs(ms: number): string {
  if (ms >= 1000) return formatDuration(ms);
  return `${ms < 10 ? ms.toFixed(1) : String(Math.round(ms))} ms`;
}

/** The limits in force; empty: there are none. */
export function limitWords(limits: LimitsInForce): readonly string[] {
  const { keysPerSecond, bytesPerSecond, sourceLatencyMs } = limits;
  return [
    ...(keysPerSecond === null ? [] : [`${formatCount(keysPerSecond)} keys/s`]),
    ...(bytesPerSecond === null ? [] : [`${formatBytes(bytesPerSecond)}/s`]),
    ...(sourceLatencyMs === null
      ? []
      : [`source latency ${formatCount(sourceLatencyMs)} ms${latencyLimitWords(limits)}`]),
  ];
}

function latencyLimitWords({ allowedKeys, others }: LimitsInForce): string {
  const underWay = allowedKeys === null ? [] : [`${keysOf(allowedKeys)} under way at most`];
  const words = [...(others ? [othersWords(others)] : []), ...underWay];
  return words.length === 0 ? '' : ` (${words.join(', ')})`;
}

/** Whom the limit on source latency is for. */
function othersWords({ count }: NonNullable<LimitsInForce['others']>): string {
  if (count === null) return 'it may have other clients';
  if (count === 0) return 'others were at work a moment ago';
  return count === 1
    ? 'another client is at work'
    : `${formatCount(count)} other clients are at work`;
}
