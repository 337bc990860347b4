/** The run's state as text, numbers and tables. */
import {
  followWords,
  formatBytes,
  formatCount,
  formatDuration,
  hasEnd,
  harmless,
  quoteKey,
} from '../src/format.js';
import { busyFirst } from '../src/watch/view.js';
import type { Live } from '../src/watch/live.js';
import {
  countWords,
  formatMs,
  healthWords,
  latencyMood,
  latencyWords,
  limitWords,
  type Mood,
  percentWords,
  routeWords,
  timeWords,
  whyWords,
} from '../src/watch/words.js';
import { byId, clock, element, meter, titles } from './dom.js';

export function showState(live: Live): void {
  const { report } = live;
  const percent = percentWords(live);
  const mood = moodOf(live);
  document.title = `${marks[mood]}${percent} – cluster-import`;
  document.body.dataset['mood'] = mood;
  byId('route').textContent = routeWords(live);
  const status = live.paused ? 'paused' : live.stalled ? 'stalled' : report.status;
  byId('status').textContent = status;
  byId('status').dataset['status'] = status;
  byId('percent').textContent = percent;
  byId('left').textContent = leftWords(live);
  showBar(live);
  showLines('limits', limitWords(live.limits).length > 0, limitLine(live));
  showTroubles(live);
  byId('numbers').replaceChildren(...numbers(live));
  showEnding(live);
  showSources(live);
  byId('nodes').replaceChildren(...nodeRows(live));
  byId('balance').textContent = balance(live);
  showFailures(live);
  showEvents(live);
  const why = live.measuring ? 'measuring which mover is faster' : report.moverReason;
  byId('mover').textContent =
    `Mover: ${report.mover} (${harmless(why)}) · cluster-import ${report.version}`;
}

type PageMood = 'well' | 'held' | 'waiting' | 'done' | 'left' | 'bad';

/** Seen in a row of tabs. */
const marks: Readonly<Record<PageMood, string>> = {
  well: '',
  held: '⏸ ',
  waiting: '⚠ ',
  done: '✓ ',
  left: '! ',
  bad: '✗ ',
};

function moodOf({ report, paused, stalled }: Live): PageMood {
  if (report.status === 'complete') return 'done';
  if (report.status === 'failed') return 'bad';
  if (report.status !== 'running') return 'left';
  if (paused) return 'held';
  return stalled ? 'waiting' : 'well';
}

function leftWords(live: Live): string {
  const { report, follow, paused, leftMs, stalled, atMs } = live;
  if (report.status !== 'running') return report.error ?? endWords(live);
  if (follow && !hasEnd(follow)) {
    return `${paused ? 'paused · ' : ''}${harmless(followWords(follow))}`;
  }
  const said = timeWords(live)?.text ?? '';
  const isKnown = !paused && !stalled && leftMs !== null;
  const end = isKnown ? `, until about ${clock(atMs + leftMs).slice(0, 5)}` : '';
  const way = paused ? ' · cluster-import ctl resume' : '';
  return `${said}${end} · ${countWords(live)}${way}`;
}

function endWords({ report }: Live): string {
  const left = report.keys.conflicting + report.keys.failed;
  if (left > 0) return `${formatCount(left)} of ${formatCount(report.keys.scanned)} keys are left`;
  return report.status === 'complete' ? 'every key is accounted for' : 'stopped midway';
}

/** What arrived, and what was left behind, as parts of one bar. */
function showBar({ progress, unmovedProgress, report }: Live): void {
  const moved = Math.max(0, progress - unmovedProgress) * 100;
  byId('bar').setAttribute('aria-valuenow', moved.toFixed(1));
  byId('bar-moved').style.width = `${String(moved)}%`;
  const unmoved = byId('bar-unmoved');
  unmoved.style.width = `${String(unmovedProgress * 100)}%`;
  unmoved.style.minWidth = unmovedProgress > 0 ? '4px' : '0';
  unmoved.className = report.keys.failed > 0 ? 'bad' : 'warn';
}

function showLines(id: string, isShown: boolean, text: string): void {
  byId(id).hidden = !isShown;
  byId(id).textContent = text;
}

function limitLine({ limits }: Live): string {
  return `Limits: ${limitWords(limits).join(' · ')}`;
}

const mostTroubles = 20;

function showTroubles({ nodes, sources, atMs }: Live): void {
  const servers = [
    ...sources.map(({ name, health }) => ({ name, health })),
    ...nodes.map(({ address, health }) => ({ name: address, health })),
  ].filter(({ health }) => health.state !== 'ok');
  byId('troubles').hidden = servers.length === 0;
  const left = servers.length - mostTroubles;
  byId('troubles').replaceChildren(
    ...servers.slice(0, mostTroubles).map(({ name, health }) => {
      const said = healthWords(health, atMs);
      const words = `${name} is ${said.text}: ${whyWords(name, health)}`;
      return element('li', said.mood === 'bad' ? 'bad' : 'warn', words);
    }),
    ...(left > 0 ? [element('li', 'bad', `and ${formatCount(left)} more servers`)] : []),
  );
}

function numbers(live: Live): HTMLElement[] {
  const { report, averageKeysPerSecond } = live;
  const { keys, bytes, durationMs, retries } = report;
  const ended = report.status !== 'running';
  const seconds = Math.max(durationMs, 1) / 1000;
  const latency = latencyWords(live);
  const late = classOf(latency?.mood ?? 'well');
  const rows: [string, string, string?][] = [
    [report.mode === 'move' ? 'moved' : 'copied', formatCount(keys.moved)],
    ...(ended
      ? [['keys/s on average', formatCount(report.keysPerSecond)] as [string, string]]
      : ([
          ['keys/s now', formatCount(live.keysPerSecond)],
          ['keys/s on average', formatCount(averageKeysPerSecond)],
        ] as [string, string][])),
    [
      ended ? 'bytes/s' : 'bytes/s now',
      `${formatBytes(ended ? bytes / seconds : live.bytesPerSecond)}/s`,
    ],
    ['bytes', formatBytes(bytes)],
    [ended ? 'took' : 'so far', formatDuration(durationMs)],
    ['source latency', live.latencyMs === null ? '–' : formatMs(live.latencyMs), late],
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
  const { phase, changedKeys, lagNowMs, changes, gaps, expectedHoldMs, cutover } = follow;
  return [
    ['phase', phase],
    // Behind a cutover nothing is written at the source that could be missing.
    ...(cutover ? [] : [['lag', `${formatCount(lagNowMs)} ms`] as [string, string]]),
    ['changed keys', changedKeys === null ? 'all' : formatCount(changedKeys)],
    ['changes heard', formatCount(changes)],
    cutover
      ? ['writes were held', `${formatCount(cutover.heldMs)} ms`]
      : ['expected hold', expectedHoldMs === null ? '–' : `${formatCount(expectedHoldMs)} ms`],
    ['gaps', formatCount(gaps), gaps > 0 ? 'warn' : ''],
  ];
}

/** What both sides hold at the end, and what comes next. */
function showEnding({ report }: Live): void {
  const { held, accounted, next, status } = report;
  byId('ending').hidden = status === 'running';
  const side = (name: string, { atStart, now }: { atStart: number | null; now: number | null }) =>
    now === null
      ? []
      : [
          `${name}: ${formatCount(now)} keys now` +
            (atStart === null ? '' : ` (${formatCount(atStart)} at the first start)`),
        ];
  const lines = [
    ...(held ? [...side('Source', held.sources), ...side('Cluster', held.cluster)] : []),
    ...(accounted
      ? [
          `Accounted for: ${formatCount(accounted.keys)}${accounted.of === null ? '' : ` of ${formatCount(accounted.of)}`} keys` +
            (accounted.runs > 1 ? `, over ${formatCount(accounted.runs)} runs` : ''),
        ]
      : []),
  ];
  byId('ending').replaceChildren(
    ...lines.map((line) => element('p', '', line)),
    ...(next === undefined ? [] : [element('p', '', 'Next: ', element('code', '', next))]),
  );
}

/** The class by which the page colours it. */
function classOf(mood: Mood): '' | 'warn' | 'bad' {
  if (mood === 'well') return '';
  return mood === 'bad' ? 'bad' : 'warn';
}

function stateCell(health: Live['nodes'][number]['health'], atMs: number): HTMLElement {
  const { text, mood } = healthWords(health, atMs);
  return element('td', `state ${classOf(mood) || 'good'}`, text);
}

function shareCell(share: number): HTMLElement {
  const percent = `${(share * 100).toFixed(1)} %`;
  return element('td', 'share', percent, meter(share, percent));
}

function nodeLatencyCell({ load }: Live['nodes'][number]): HTMLElement {
  if (load === null) return element('td', 'number', '–');
  const { latencyMs } = load;
  return element('td', `number ${classOf(latencyMood(latencyMs))}`, formatMs(latencyMs));
}

/** What it uses of what it may use; without a limit there is nothing that a bar could show. */
function memoryCell({ address, load }: Live['nodes'][number]): HTMLElement {
  const memory = load?.memory ?? null;
  if (memory === null) return element('td', 'memory', '–');
  const { usedBytes, limitBytes } = memory;
  if (limitBytes === null) return element('td', 'memory', `${formatBytes(usedBytes)}, no limit`);
  const words = `${formatBytes(usedBytes)} of ${formatBytes(limitBytes)}`;
  const isNearlyFull = usedBytes > limitBytes * 0.9;
  return element(
    'td',
    isNearlyFull ? 'memory warn' : 'memory',
    words,
    meter(Math.min(1, usedBytes / limitBytes), `memory of ${address}: ${words}`),
  );
}

/** Keys that were left behind: none is what should be. */
function leftCell(count: number): HTMLElement {
  return element('td', count > 0 ? 'number bad' : 'number', formatCount(count));
}

/** More than that nobody reads, and a browser takes half a core to draw a thousand rows each second. */
const mostSources = 100;

function showSources({ sources, atMs }: Live): void {
  byId('sources-section').hidden = sources.length < 2;
  const shown = busyFirst(sources).slice(0, mostSources);
  showLines('more-sources', sources.length > shown.length, moreSources(sources, shown.length));
  const rows = shown.map((source) =>
    element(
      'tr',
      '',
      element('td', '', source.name),
      stateCell(source.health, atMs),
      element('td', 'number', formatCount(source.moved)),
      element('td', 'number', formatCount(source.keysPerSecond)),
      shareCell(source.progress),
      leftCell(source.conflicting + source.failed),
    ),
  );
  byId('sources').replaceChildren(
    titles('source', 'state', 'keys|number', 'keys/s|number', 'done|share', 'left behind|number'),
    ...rows,
  );
}

function moreSources(sources: Live['sources'], shown: number): string {
  const done = sources.filter(({ progress }) => progress >= 1).length;
  return `and ${formatCount(sources.length - shown)} more; of all ${formatCount(sources.length)} sources ${formatCount(done)} are done`;
}

function nodeRows({ nodes, atMs }: Live): HTMLElement[] {
  const rows = nodes.map((node) =>
    element(
      'tr',
      '',
      element('td', '', node.address),
      stateCell(node.health, atMs),
      element('td', 'number', formatCount(node.keys)),
      element('td', 'number', formatCount(node.keysPerSecond)),
      shareCell(node.share),
      element('td', 'number', formatCount(node.inflightKeys)),
      element('td', 'number', formatCount(node.retries)),
      leftCell(node.unmoved),
      element('td', 'number', formatBytes(node.bytes)),
      nodeLatencyCell(node),
      memoryCell(node),
    ),
  );
  return [
    titles(
      ...['node', 'state', 'keys|number', 'keys/s|number', 'share|share'],
      ...['in flight|number', 'retries|number', 'left behind|number', 'bytes|number'],
      ...['latency|number', 'memory|memory'],
    ),
    ...rows,
  ];
}

/** What the shares are of, and what they would be if slots and keys were spread evenly. */
function balance({ nodes }: Live): string {
  if (nodes.length < 2) return '';
  return `share of the keys so far; an even one is ${(100 / nodes.length).toFixed(1)} %`;
}

/** By cause: the keys themselves are in the report. */
function showFailures({ report }: Live): void {
  const { keys, causes = [] } = report;
  const total = keys.conflicting + keys.failed;
  byId('failures-section').hidden = causes.length === 0;
  byId('failure-count').textContent = formatCount(total);
  const rows = causes.map(({ from, class: why, count, message, examples }) =>
    element(
      'tr',
      '',
      element('td', `class ${why === 'conflict' ? 'warn' : 'bad'}`, why),
      element('td', 'number', formatCount(count)),
      element('td', '', from === undefined ? harmless(message) : `${from}: ${harmless(message)}`),
      element('td', 'key', ...examples.map((key) => element('div', '', quoteKey(key, 200)))),
    ),
  );
  byId('failures').replaceChildren(
    titles('class', 'keys|number', 'reason', 'for example'),
    ...rows,
  );
  byId('advice').textContent =
    keys.conflicting > 0
      ? 'Conflicting keys are as they were on both sides: run again with --replace to let the source win, or delete them on one side.'
      : 'Failed keys are where they were: remove the cause, then run the same command again.';
}

/** The newest first. */
function showEvents({ events }: Live): void {
  byId('events-section').hidden = events.length === 0;
  const rows = events
    .toReversed()
    .map(({ atMs, kind, text }) =>
      element(
        'tr',
        '',
        element('td', 'class', clock(atMs)),
        element('td', kind === 'trouble' ? 'bad' : '', harmless(text)),
      ),
    );
  byId('events').replaceChildren(titles('at', 'what'), ...rows);
}
