/** How a run stands, for people. */
import { formatBytes, formatCount, formatDuration } from '../format.js';
import type { State } from './orders.js';

const doing = { move: 'moving', copy: 'copying', 'dry-run': 'counting' } as const;

/** Several lines, each ended. */
export function describe(state: State): string {
  const { report, limits, latencyMs } = state;
  const { conflicting, failed } = report.keys;
  const waits = latencyMs === null ? [] : [`the source answers in ${latencyMs.toFixed(1)} ms`];
  const behind = [
    ...(conflicting > 0 ? [`${formatCount(conflicting)} conflicting`] : []),
    ...(failed > 0 ? [`${formatCount(failed)} failed`] : []),
  ];
  const lines = [
    title(state),
    [
      state.paused ? 'paused' : report.status,
      `${(state.progress * 100).toFixed(1)} %`,
      `${formatCount(report.keys.moved)} keys`,
      `${formatCount(state.keysPerSecond)} keys/s`,
      `${formatBytes(state.bytesPerSecond)}/s`,
      `${formatDuration(report.durationMs)} so far`,
      ...(state.leftMs === null ? [] : [`${formatDuration(state.leftMs)} left`]),
      ...waits,
    ].join(' · '),
    `limits: ${limitWords(limits)}`,
    ...(behind.length > 0 ? [`left behind: ${behind.join(' · ')}`] : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** Which run it is, on one line. */
export function title({ pid, report }: State): string {
  const { from, to, mode, mover } = report;
  return `${doing[mode]} ${from.join(', ')} → ${to} by ${mover} (pid ${String(pid)})`;
}

function limitWords(limits: State['limits']): string {
  const { keysPerSecond, bytesPerSecond, sourceLatencyMs, allowedKeys } = limits;
  const words = [
    ...(keysPerSecond === null ? [] : [`${formatCount(keysPerSecond)} keys/s`]),
    ...(bytesPerSecond === null ? [] : [`${formatBytes(bytesPerSecond)}/s`]),
    ...(sourceLatencyMs === null
      ? []
      : [
          `source answers within ${formatCount(sourceLatencyMs)} ms ` +
            `(${formatCount(allowedKeys ?? 0)} keys under way at most)`,
        ]),
  ];
  return words.length === 0 ? 'none' : words.join(' · ');
}
