/**
 * The report as people read it at the end of a run: how it ended, what moved where, what both sides hold, what
 * is left and why, and what to do next. Scripts read its JSON.
 */
import colours from 'picocolors';
import type { Colors, Formatter } from 'picocolors/types.js';
import { formatBytes, formatCount, formatDuration, harmless, quoteKey } from './format.js';
import type { Found, Report, ReportedCause, Sparing } from './report.js';

const shownCauses = 10;
const shownKeyLength = 60;
const plain = colours.createColors(false);

export function summarize(report: Report, palette: Colors = plain): string {
  if (report.empty === true) return `${palette.green('✓')} ${nothingToDo(report)}`;
  const parts = [
    headline(report, palette),
    report.found ? findings(report, report.found) : totals(report),
    proof(report),
    following(report),
    sources(report),
    nodes(report),
    causes(report, palette),
    advice(report),
    next(report, palette),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function nothingToDo({ from, functions }: Report): string {
  const words = `Nothing to do: ${from.join(', ')} ${from.length === 1 ? 'is' : 'are'} empty.\n`;
  return functions ? `${words}  ${'functions'.padEnd(12)} ${functionWords(functions)}\n` : words;
}

const nothingFound = 'Complete: there was no key to take (none was selected, or none is left)';

function headline(report: Report, palette: Colors): string {
  const { status, from, to, mode, keys, error, earlier } = report;
  const words = {
    complete: {
      move: keys.scanned === 0 ? nothingFound : 'Complete: every key moved',
      copy: keys.scanned === 0 ? nothingFound : 'Complete: every key copied',
      follow: 'Cut over: the cluster has everything that the source had acknowledged',
      'dry-run': `Dry run: ${countOf(counted(report))} counted, nothing moved`,
    }[mode],
    incomplete: mode === 'dry-run' ? 'Not all could be counted' : leftWords(report),
    interrupted: 'Interrupted',
    failed: 'Stopped midway',
  };
  const { mark, paint } = marks(palette)[status];
  return [
    paint(`${mark} ${words[status]} (${from.join(', ')} → ${to})`),
    ...(earlier
      ? [`It went on from an earlier run, which had ${had(earlierMoved(report), mode)}.`]
      : []),
    ...(error === undefined ? [] : [error]),
  ].join('\n');
}

function marks({
  green,
  yellow,
  red,
}: Colors): Readonly<
  Record<Report['status'], { readonly mark: string; readonly paint: Formatter }>
> {
  return {
    complete: { mark: '✓', paint: green },
    incomplete: { mark: '!', paint: yellow },
    interrupted: { mark: '!', paint: yellow },
    failed: { mark: '✗', paint: red },
  };
}

function leftWords({ keys }: Report): string {
  const left = keys.conflicting + keys.failed;
  return `Incomplete: ${formatCount(left)} of ${countOf(keys.scanned)} ${left === 1 ? 'is' : 'are'} left`;
}

function counted({ found }: Report): number {
  return Object.values(found?.types ?? {}).reduce((sum, count) => sum + count, 0);
}

function countOf(count: number): string {
  return `${formatCount(count)} ${count === 1 ? 'key' : 'keys'}`;
}

/** By what it wrote down, or by what has left the sources since the first start, whichever is more. */
function earlierMoved({ earlier, accounted, keys }: Report): number {
  return Math.max(earlier?.moved ?? 0, (accounted?.keys ?? 0) - keys.scanned);
}

/** A run that was killed may have done more than it could still write down. */
function had(count: number, mode: Report['mode']): string {
  const word = mode === 'move' ? 'moved' : 'copied';
  if (count === 0) return `just begun`;
  return `${word} at least ${formatCount(count)} ${count === 1 ? 'key' : 'keys'}`;
}

function totals({ mode, keys, bytes, durationMs, keysPerSecond, ...rest }: Report): string {
  const rows: [string, number, string][] = [
    [mode === 'move' ? 'moved' : 'copied', keys.moved, formatBytes(bytes)],
    ['gone', keys.gone, 'expired or deleted at the source meanwhile'],
    ['conflicting', keys.conflicting, 'left alone: the cluster has them already'],
    // A file keeps all that it has.
    [
      'failed',
      keys.failed,
      rest.mover === 'restore' ? 'not in the cluster' : 'still at the source',
    ],
  ];
  const counts = rows.filter(([, count], index) => index === 0 || count > 0);
  const peak = rest.peakKeysPerSecond ?? 0;
  const paused = rest.pausedMs ?? 0;
  const seconds = Math.max(durationMs - paused, 1) / 1000;
  const latency = rest.longestSourceLatencyMs ?? null;
  const took = [
    `${formatDuration(durationMs)} at ${formatCount(keysPerSecond)} keys/s`,
    `${formatBytes(bytes / seconds)}/s`,
    ...(peak > keysPerSecond * 1.1 ? [`${formatCount(peak)} keys/s at the most`] : []),
    ...(paused > 0 ? [`paused for ${formatDuration(paused)}`] : []),
  ];
  return [
    table(counts),
    `  ${'took'.padEnd(12)} ${took.join(', ')}`,
    `  ${'when'.padEnd(12)} ${clock(rest.startedAt)} to ${clock(rest.endedAt)}`,
    ...(latency === null
      ? []
      : [
          `  ${'latency'.padEnd(12)} ${latencyOf(latency)}: the longest that the source took to answer a client`,
        ]),
    ...(rest.sparing ? [`  ${'sparing'.padEnd(12)} ${sparingWords(rest.sparing)}`] : []),
    `  ${'by'.padEnd(12)} ${rest.mover}: ${rest.moverReason}`,
    ...(rest.functions ? [`  ${'functions'.padEnd(12)} ${functionWords(rest.functions)}`] : []),
    ...(rest.retries > 0
      ? [
          `  ${'again'.padEnd(12)} ${formatCount(rest.retries)} retries, ${formatCount(rest.redirects)} of them redirections`,
        ]
      : []),
  ].join('\n');
}

/** What a limit on the source's latency was for, and what it cost. */
function sparingWords({ limitMs, forOthers, durationMs, ...rates }: Sparing): string {
  const { keysPerSecond, otherwiseKeysPerSecond } = rates;
  const why = forOthers ? ', for its other clients' : '';
  const rateWords = [
    ...(keysPerSecond === null ? [] : [`${formatCount(keysPerSecond)} keys/s`]),
    ...(otherwiseKeysPerSecond === null
      ? []
      : [`${formatCount(otherwiseKeysPerSecond)} keys/s otherwise`]),
  ];
  return [
    `source latency ${formatCount(limitMs)} ms for ${formatDuration(durationMs)}${why}`,
    ...rateWords,
  ].join('; ');
}

/** `2026-11-29 17:08:19`, in the time of this place. */
function clock(iso: string): string {
  const at = new Date(iso);
  const two = (count: number): string => String(count).padStart(2, '0');
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join('-');
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':')}`;
}

function latencyOf(ms: number): string {
  return ms >= 1000 ? formatDuration(ms) : `${formatCount(ms)} ms`;
}

/** What both sides hold by their own count, and whether all keys are accounted for. */
function proof({ held, accounted, keys, status }: Report): string {
  const rows: [string, string][] = [];
  const side = (name: string, { atStart, now }: { atStart: number | null; now: number | null }) => {
    if (now === null) return;
    const before = atStart === null ? '' : ` (${formatCount(atStart)} at the first start)`;
    rows.push([name, `${countOf(now)} now${before}`]);
  };
  if (held) {
    side('source', held.sources);
    side('cluster', held.cluster);
  }
  if (accounted) {
    const { keys: count, of, runs } = accounted;
    const all = of === null ? '' : ` of ${formatCount(of)}`;
    const over = runs === 1 ? '' : `, over ${formatCount(runs)} runs`;
    const left = keys.conflicting + keys.failed;
    const but = left === 0 ? '' : `; ${formatCount(left)} of them are left, for the reasons below`;
    const others =
      status === 'complete' && of !== null && count < of
        ? '; the others were gone before their turn came'
        : '';
    rows.push(['accounted', `${formatCount(count)}${all} keys${over}${but}${others}`]);
  }
  return rows.map(([word, words]) => `  ${word.padEnd(12)} ${words}`).join('\n');
}

/** How the source was followed. */
function following({ follow }: Report): string {
  if (!follow) return '';
  const { changes, copiedAgain, deleted, gaps, lagMs, cutover } = follow;
  const rows = [
    [
      'changes',
      `${formatCount(changes)} heard by ${follow.feed}, ${formatCount(copiedAgain)} keys copied again, ${formatCount(deleted)} deleted`,
    ],
    [
      'lag',
      `${formatCount(lagMs.p50)} ms in half of the cases, ${formatCount(lagMs.p99)} ms in 99 %, ${formatCount(lagMs.max)} ms at most`,
    ],
    ...(gaps > 0
      ? [['gaps', `${formatCount(gaps)}, after each of which all keys were compared`]]
      : []),
    ...(cutover
      ? [
          [
            'held',
            `writes for ${formatCount(cutover.heldMs)} ms, by ${cutover.fence}, at ${cutover.at}`,
          ],
          [
            'proof',
            `the source held ${formatCount(cutover.keys.source)} keys then, the cluster ${formatCount(cutover.keys.cluster)}`,
          ],
          [
            'source',
            `${cutover.source}, ${formatCount(cutover.lateWrites)} keys written to after the cutover`,
          ],
        ]
      : [['cutover', 'none: the source is the one that counts']]),
  ];
  return rows.map(([word = '', words = '']) => `  ${word.padEnd(12)} ${words}`).join('\n');
}

/** What a dry run found. */
function findings({ keys, durationMs }: Report, { types, present, shared = 0 }: Found): string {
  const byCount = Object.entries(types).sort(([, one], [, other]) => other - one);
  const counted = byCount.reduce((sum, [, count]) => sum + count, 0);
  const rows: [string, number, string][] = [
    ['keys', counted, `counted in ${formatDuration(durationMs)}`],
    ...byCount.map(([type, count]): [string, number, string] => [type, count, '']),
    ['present', present, 'in the cluster already'],
    ['shared', shared, 'of names that several sources have'],
    ['gone', keys.gone, 'expired or deleted at the source meanwhile'],
  ];
  return table(rows.filter(([, count], index) => index === 0 || count > 0));
}

function table(rows: readonly (readonly [string, number, string])[]): string {
  const width = Math.max(...rows.map(([, count]) => formatCount(count).length));
  return rows
    .map(([word, count, note]) =>
      `  ${word.padEnd(12)} ${formatCount(count).padStart(width)}  ${note}`.trimEnd(),
    )
    .join('\n');
}

/** Each of several, with what is left there. */
function sources({ sources: all = [], mode }: Report): string {
  const word = { move: 'moved', copy: 'copied', follow: 'copied', 'dry-run': 'counted' }[mode];
  const width = Math.max(0, ...all.map(({ from }) => from.length));
  return all
    .map(({ from, status, keys }) => {
      const left = keys.conflicting + keys.failed;
      const count = mode === 'dry-run' ? keys.scanned - keys.gone - left : keys.moved;
      const words = `  ${from.padEnd(width)}  ${status}: ${formatCount(count)} ${word}`;
      return left === 0 ? words : `${words}, ${formatCount(left)} left`;
    })
    .join('\n');
}

function functionWords({ libraries, masters }: NonNullable<Report['functions']>): string {
  if (libraries.length === 0) return 'the source has none';
  return `${libraries.join(', ')} on ${formatCount(masters)} masters`;
}

function nodes({ nodes: all, mode }: Report): string {
  const used = all.filter(({ keys }) => keys > 0);
  const nameWidth = Math.max(0, ...used.map(({ address }) => address.length));
  const countWidth = Math.max(0, ...used.map(({ keys }) => formatCount(keys).length));
  return used
    .map(
      ({ address, keys, bytes }) =>
        `  ${address.padEnd(nameWidth)}  ${formatCount(keys).padStart(countWidth)} keys${mode === 'dry-run' ? '' : `  ${formatBytes(bytes)}`}`,
    )
    .join('\n');
}

/** What is left, by what kept it. */
function causes({ causes: all = [] }: Report, { yellow, red }: Colors): string {
  const shown = all.slice(0, shownCauses).map((cause) => {
    const paint = cause.class === 'conflict' ? yellow : red;
    return causeLines(cause, paint);
  });
  const more = all.slice(shownCauses).reduce((sum, { count }) => sum + count, 0);
  return [
    ...shown,
    ...(more > 0 ? [`  … and ${countOf(more)} for other reasons: --report has them`] : []),
  ].join('\n');
}

function causeLines(
  { from, class: why, count, message, examples }: ReportedCause,
  paint: Formatter,
): string {
  const keys = examples.map((key) => quoteKey(key, shownKeyLength)).join(', ');
  const word = count > examples.length ? 'for example ' : '';
  const of = from === undefined ? '' : ` of ${from}`;
  return `  ${paint(`${formatCount(count)} ${why}${of}`)}: ${harmless(message)}\n    ${word}${keys}`;
}

function advice(report: Report): string {
  const { status, keys, mode, found, unreadable, evicted, sources: several = [] } = report;
  if (mode === 'dry-run') return dryAdvice(found);
  if (unreadable === true) {
    return 'What could be read of the files is in the cluster: for the rest, give an undamaged copy.';
  }
  // The error says what may be lost, and the way out.
  if (status === 'failed' && evicted !== undefined) return '';
  if (status === 'interrupted' || status === 'failed') {
    return `Nothing is lost.${onBothSides(report)} To go on with what is left, run the same command again.`;
  }
  if (keys.conflicting > 0 && several.length > 1) {
    return "Conflicting keys: where several sources have one, keep them apart with --key-prefix '{from}/{db}:', or choose: --only-keys does just some, and --replace lets them win over what the cluster has.";
  }
  if (keys.conflicting > 0) {
    return 'Conflicting keys: run again with --replace to let the source win (for some of them only, with --only-keys), or delete them on one side.';
  }
  if (keys.failed > 0) {
    return `Failed keys: they are where they were.${onBothSides(report)} Remove the causes above, then run the same command again.`;
  }
  return '';
}

/** What was on its way when the run gave it up. */
function onBothSides({ onBothSides: count = 0 }: Report): string {
  if (count === 0) return '';
  return ` Up to ${countOf(count)} may be on both sides: if clients delete such a key at the source before the next run, its copy stays in the cluster.`;
}

/** What comes next, once all is well. */
function next({ next: command, mode, status }: Report, { bold }: Colors): string {
  if (command === undefined || status !== 'complete') return '';
  const then = {
    move: 'If the cluster is sound, the clients can be pointed at it:',
    copy: 'To compare both sides, key by key (with the same access options):',
    follow: 'To see that the cluster is sound:',
    'dry-run': '',
  }[mode];
  return `Next: ${then}\n  ${bold(command)}`;
}

function dryAdvice(found: Found | undefined): string {
  if (found?.shared !== undefined && found.shared > 0) {
    return "Several sources have keys of the same name: give --key-prefix '{from}/{db}:' to keep them apart; else the first one counts, and the others are left and reported where they differ.";
  }
  if (!found || found.present === 0) return '';
  return 'Some keys are in the cluster already: an import needs --replace to overwrite them, or --no-replace to leave them alone.';
}
