/**
 * The report as people read it at the end of a run: what moved where, how fast, what is left and
 * why, and what to do next.
 */
import { formatBytes, formatCount, formatDuration } from './format.js';
import { harmless, quoteKey } from './quote.js';
import type { Found, Report, ReportedFailure } from './report.js';

const shownFailures = 10;
const shownKeyLength = 60;

export function summarize(report: Report): string {
  if (report.empty === true) return nothingToDo(report);
  const parts = [
    headline(report),
    report.found ? findings(report, report.found) : totals(report),
    following(report),
    sources(report),
    nodes(report),
    failures(report),
    advice(report),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function nothingToDo({ from, functions }: Report): string {
  const words = `Nothing to do: ${from.join(', ')} ${from.length === 1 ? 'is' : 'are'} empty.\n`;
  return functions ? `${words}  ${'functions'.padEnd(12)} ${functionWords(functions)}\n` : words;
}

const nothingFound = 'Complete: there was no key to take (none was selected, or none is left)';

function headline({ status, from, to, mode, keys, error, earlier }: Report): string {
  const words = {
    complete: {
      move: keys.scanned === 0 ? nothingFound : 'Complete: every key moved',
      copy: keys.scanned === 0 ? nothingFound : 'Complete: every key copied',
      follow: 'Cut over: the cluster has everything that the source had acknowledged',
      'dry-run': 'Counted, and nothing was moved',
    }[mode],
    incomplete: mode === 'dry-run' ? 'Not all could be counted' : 'Incomplete: some keys are left',
    interrupted: 'Interrupted',
    failed: 'Stopped midway',
  };
  return [
    `${words[status]}, ${from.join(', ')} → the cluster of ${to}`,
    ...(earlier ? [`It went on from an earlier run, which had ${had(earlier.moved, mode)}.`] : []),
    ...(error === undefined ? [] : [error]),
  ].join('\n');
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
  const seconds = Math.max(durationMs, 1) / 1000;
  return [
    table(counts),
    `  ${'took'.padEnd(12)} ${formatDuration(durationMs)} at ${formatCount(keysPerSecond)} keys/s, ${formatBytes(bytes / seconds)}/s`,
    `  ${'by'.padEnd(12)} ${rest.mover}: ${rest.moverReason}`,
    ...(rest.functions ? [`  ${'functions'.padEnd(12)} ${functionWords(rest.functions)}`] : []),
    ...(rest.retries > 0
      ? [
          `  ${'again'.padEnd(12)} ${formatCount(rest.retries)} retries, ${formatCount(rest.redirects)} of them redirections`,
        ]
      : []),
  ].join('\n');
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

function nodes({ nodes: all }: Report): string {
  const used = all.filter(({ keys }) => keys > 0);
  const nameWidth = Math.max(0, ...used.map(({ address }) => address.length));
  const countWidth = Math.max(0, ...used.map(({ keys }) => formatCount(keys).length));
  return used
    .map(
      ({ address, keys, bytes }) =>
        `  ${address.padEnd(nameWidth)}  ${formatCount(keys).padStart(countWidth)} keys  ${formatBytes(bytes)}`,
    )
    .join('\n');
}

function failures({ failures: listed, keys }: Report): string {
  const total = keys.conflicting + keys.failed;
  const shown = listed.slice(0, shownFailures).map(failureLine);
  const more = total - shown.length;
  return [
    ...shown,
    ...(more > 0 && shown.length > 0 ? [`  … and ${formatCount(more)} more`] : []),
  ].join('\n');
}

function failureLine(failure: ReportedFailure): string {
  const from = failure.from === undefined ? '' : `  ${failure.from}`;
  return `  ${failure.class}  ${quoteKey(failure, shownKeyLength)}${from}  ${harmless(failure.message)}`;
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
    return 'Nothing is lost. To go on with what is left, run the same command again.';
  }
  if (keys.conflicting > 0 && several.length > 1) {
    return "Conflicting keys: where several sources have one, keep them apart with --key-prefix '{from}/{db}:', or choose: --only-keys does just some, and --replace lets them win over what the cluster has.";
  }
  if (keys.conflicting > 0) {
    return 'Conflicting keys: run again with --replace to let the source win (for some of them only, with --only-keys), or delete them on one side.';
  }
  if (keys.failed > 0) return 'Failed keys: remove the cause, then run the same command again.';
  return '';
}

function dryAdvice(found: Found | undefined): string {
  if (found?.shared !== undefined && found.shared > 0) {
    return "Several sources have keys of the same name: give --key-prefix '{from}/{db}:' to keep them apart; else the first one counts, and the others are left and reported where they differ.";
  }
  if (!found || found.present === 0) return '';
  return 'Some keys are in the cluster already: an import needs --replace to overwrite them, or --no-replace to leave them alone.';
}
