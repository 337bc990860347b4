/** The run's state as text, numbers and tables. */
import { followWords, formatBytes, formatCount, formatDuration, hasEnd } from '../src/format.js';
import type { Live } from '../src/watch/live.js';
import { harmless, quoteKey } from '../src/quote.js';
import { byId, element, meter } from './dom.js';

export function showState(live: Live): void {
  const { report, progress } = live;
  const percent = `${(progress * 100).toFixed(1)} %`;
  const words = {
    move: 'moving',
    copy: 'copying',
    follow: 'following',
    'dry-run': 'counting',
  };
  document.title = `${percent} – cluster-import`;
  byId('route').textContent = `${words[report.mode]} ${report.from.join(', ')} → ${report.to}`;
  const status = live.paused ? 'paused' : report.status;
  byId('status').textContent = status;
  byId('status').dataset['status'] = status;
  byId('percent').textContent = percent;
  byId('left').textContent = leftWords(live);
  (byId('bar') as HTMLProgressElement).value = progress;
  byId('numbers').replaceChildren(...numbers(live));
  byId('nodes').replaceChildren(...nodeRows(live));
  byId('balance').textContent = balance(live);
  showFailures(live);
  const why = live.measuring ? 'measuring which mover is faster' : report.moverReason;
  byId('mover').textContent =
    `Mover: ${report.mover} (${harmless(why)}) · cluster-import ${report.version}`;
}

function leftWords({ report, leftMs, sourceKeysLeft, paused, follow }: Live): string {
  if (report.status !== 'running') return report.error ?? '';
  if (follow && !hasEnd(follow))
    return `${paused ? 'paused · ' : ''}${harmless(followWords(follow))}`;
  const time = paused ? 'paused' : `${leftMs === null ? '–' : formatDuration(leftMs)} left`;
  const keys = report.mode === 'move' ? ` · ${formatCount(sourceKeysLeft)} keys at the source` : '';
  return `${time}${keys}`;
}

function numbers({ report, latencyMs, ...live }: Live): HTMLElement[] {
  const { keys, bytes, durationMs, retries } = report;
  const ended = report.status !== 'running';
  const seconds = Math.max(durationMs, 1) / 1000;
  const rows: [string, string, string?][] = [
    [report.mode === 'move' ? 'moved' : 'copied', formatCount(keys.moved)],
    ['keys/s', formatCount(ended ? report.keysPerSecond : live.keysPerSecond)],
    ['bytes/s', `${formatBytes(ended ? bytes / seconds : live.bytesPerSecond)}/s`],
    [ended ? 'took' : 'so far', formatDuration(durationMs)],
    ['source latency', latencyMs === null ? '–' : `${latencyMs.toFixed(1)} ms`],
    ['retries', formatCount(retries)],
    ['conflicting', formatCount(keys.conflicting), keys.conflicting > 0 ? 'warn' : ''],
    ['failed', formatCount(keys.failed), keys.failed > 0 ? 'bad' : ''],
  ];
  if (live.follow) rows.push(...followRows(live.follow));
  return rows.map(([term, value, className = '']) =>
    element('div', '', element('dt', '', term), element('dd', className, value)),
  );
}

function followRows(follow: NonNullable<Live['follow']>): [string, string, string?][] {
  const { phase, changedKeys, lagNowMs, changes, gaps, expectedHoldMs } = follow;
  return [
    ['phase', phase],
    ['lag', `${formatCount(lagNowMs)} ms`],
    ['changed keys', changedKeys === null ? 'all' : formatCount(changedKeys)],
    ['changes heard', formatCount(changes)],
    ['expected hold', expectedHoldMs === null ? '–' : `${formatCount(expectedHoldMs)} ms`],
    ['gaps', formatCount(gaps), gaps > 0 ? 'warn' : ''],
  ];
}

function nodeRows({ nodes }: Live): HTMLElement[] {
  const most = Math.max(...nodes.map(({ share }) => share), 0);
  const head = element(
    'tr',
    '',
    element('th', '', 'node'),
    element('th', 'number', 'keys'),
    element('th', 'number', 'keys/s'),
    element('th', 'share', 'share'),
    ...['in flight', 'retries', 'bytes'].map((title) => element('th', 'number', title)),
  );
  const rows = nodes.map((node) => {
    const share = `${(node.share * 100).toFixed(1)} %`;
    return element(
      'tr',
      '',
      element('td', '', node.address),
      element('td', 'number', formatCount(node.keys)),
      element('td', 'number', formatCount(node.keysPerSecond)),
      element('td', 'share', share, meter(most === 0 ? 0 : node.share / most, share)),
      element('td', 'number', formatCount(node.inflightKeys)),
      element('td', 'number', formatCount(node.retries)),
      element('td', 'number', formatBytes(node.bytes)),
    );
  });
  return [head, ...rows];
}

/** What the bars mean, and how far the nodes are from equal shares. */
function balance({ nodes }: Live): string {
  const shares = nodes.map(({ share }) => share * 100);
  if (shares.length < 2 || Math.max(...shares) === 0) return '';
  const [most, least] = [Math.max(...shares), Math.min(...shares)].map((share) => share.toFixed(1));
  const even = (100 / shares.length).toFixed(1);
  return `bars: shares of all keys so far, ${least ?? ''} to ${most ?? ''} %; equal ones would be ${even} %`;
}

/** The newest first: people who look on want to know what goes wrong now. */
function showFailures({ report, latestFailures }: Live): void {
  const { keys } = report;
  const failures = latestFailures.toReversed();
  const total = keys.conflicting + keys.failed;
  byId('failures-section').hidden = failures.length === 0;
  byId('failure-count').textContent =
    total > failures.length
      ? `the latest ${formatCount(failures.length)} of ${formatCount(total)}`
      : formatCount(total);
  const head = ['why', 'key', 'in words'].map((title) => element('th', '', title));
  const rows = failures.map((failure) =>
    element(
      'tr',
      '',
      element('td', 'class', failure.class),
      element('td', 'key', quoteKey(failure, 500)),
      element('td', '', harmless(failure.message)),
    ),
  );
  byId('failures').replaceChildren(element('tr', '', ...head), ...rows);
}
