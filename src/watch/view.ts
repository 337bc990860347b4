/**
 * The terminal's picture of a run, as lines that fit: how far, how fast, how long, to which nodes,
 * and what went wrong. A function of a sample and a size, and of nothing else.
 */
import type { Colors, Formatter } from 'picocolors/types.js';
import { followWords, formatBytes, formatCount, formatDuration, hasEnd } from '../format.js';
import { harmless, quoteKey } from '../quote.js';
import { reportedFailure } from '../report.js';
import type { KeyFailure } from '../types.js';
import type { NodeSample, RunFacts, Sample } from './sampler.js';

const widest = 110;
const shownFailures = 3;

export interface ViewSize {
  readonly columns: number;
  readonly rows: number;
}

export function viewLines(sample: Sample, size: ViewSize, colours: Colors): string[] {
  // The last column stays free: some terminals wrap as soon as it is written to.
  const width = Math.max(1, Math.min(widest, size.columns - 1));
  const head = [
    barLine(sample, width, colours),
    ...flow(numbers(sample, colours), width),
    ...followLines(sample.facts, width, colours),
    moverLine(sample.facts, width, colours),
  ];
  const trouble = troubleLines(sample, width, colours);
  // One row for the cursor, and one between head and table.
  const rows = size.rows - head.length - trouble.length - 2;
  const table = nodeTable(sample.nodes, { width, rows }, colours);
  const lines = [...head, ...(table.length > 0 ? ['', ...table] : []), ...trouble];
  return lines.slice(0, Math.max(1, size.rows - 1));
}

function barLine({ snapshot }: Sample, width: number, { cyan, dim, bold }: Colors): string {
  const share = Math.min(1, Math.max(0, snapshot.progress));
  const percent = ` ${(share * 100).toFixed(1)} %`;
  const length = width - percent.length;
  if (length < 5) return fit(percent.trim(), width);
  const done = Math.floor(share * length);
  return cyan('━'.repeat(done)) + dim('─'.repeat(length - done)) + bold(percent);
}

/** What both the view and the line say, the most important first. */
export function numbers(sample: Sample, colours: Colors): Piece[] {
  const { snapshot, speed, atMs, latencySeconds } = sample;
  return [
    { text: `${formatCount(snapshot.moved)} keys`, paint: colours.bold },
    { text: `${formatCount(speed.keysPerSecond)} keys/s` },
    { text: `${formatBytes(speed.bytesPerSecond)}/s` },
    { text: `${formatDuration(atMs - snapshot.startedAtMs)} so far` },
    ...lastingWords(sample, colours),
    ...(latencySeconds === undefined
      ? []
      : [{ text: `source answers in ${formatMs(latencySeconds)}` }]),
    ...counted(snapshot.conflicting, 'conflicting', colours.yellow),
    ...counted(snapshot.failed, 'failed', colours.red),
  ];
}

/** The time left, where there is an end to come. */
function lastingWords({ speed, facts }: Sample, { bold, yellow }: Colors): Piece[] {
  if (facts.steering.isPaused) return [{ text: 'PAUSED', paint: (text) => bold(yellow(text)) }];
  if (!hasEnd(facts.follow?.())) return [];
  const left = speed.leftMs === undefined ? '–' : formatDuration(speed.leftMs);
  return [{ text: `${left} left`, paint: bold }];
}

function counted(count: number, word: string, paint: Piece['paint']): Piece[] {
  return count > 0 ? [{ text: `${formatCount(count)} ${word}`, paint }] : [];
}

function formatMs(seconds: number): string {
  const ms = seconds * 1000;
  return `${ms < 10 ? ms.toFixed(1) : String(Math.round(ms))} ms`;
}

function followLines({ follow }: RunFacts, width: number, { bold }: Colors): string[] {
  const status = follow?.();
  return status ? [bold(fit(harmless(followWords(status)), width))] : [];
}

function moverLine({ mover }: RunFacts, width: number, { dim }: Colors): string {
  const why = mover.measuring ? 'measuring which mover is faster' : mover.reason;
  return dim(fit(`${mover.name}: ${harmless(why)}`, width));
}

/** The latest ones. */
function troubleLines({ snapshot }: Sample, width: number, colours: Colors): string[] {
  const last = snapshot.latestFailures.slice(-shownFailures).map((failure) => {
    const paint = failure.class === 'conflict' ? colours.yellow : colours.red;
    return paint(fit(failureLine(failure), width));
  });
  return last.length > 0 ? ['', ...last] : [];
}

function failureLine(failure: KeyFailure): string {
  const { message } = failure;
  return `${failure.class}  ${quoteKey(reportedFailure(failure), 40)}  ${harmless(message)}`;
}

// Text that has to fit into a terminal: how wide it is, and what to do when it is too wide.

/** A piece of text and its colour, kept apart because only the text has a width. */
export interface Piece {
  readonly text: string;
  readonly paint?: Formatter | undefined;
}

const separator = ' · ';

/** How many columns it takes: East Asian characters and emoji take two. */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += (char.codePointAt(0) ?? 0) >= 0x1100 && isWide(char) ? 2 : 1;
  return width;
}

function isWide(char: string): boolean {
  return /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uff00-\uff60]/u.test(
    char,
  );
}

/** Cut to a width, the last column being an ellipsis. */
export function fit(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = '';
  let used = 1;
  for (const char of text) {
    used += widthOf(char);
    if (used > width) break;
    kept += char;
  }
  return width > 0 ? `${kept}…` : '';
}

/** Puts pieces side by side, and begins a new line where the next one does not fit. */
export function flow(pieces: readonly Piece[], width: number): string[] {
  const lines: string[] = [];
  let line = '';
  let used = 0;
  for (const { text, paint } of pieces) {
    const shown = fit(text, width);
    const needed = widthOf(shown);
    if (used > 0 && used + separator.length + needed > width) {
      lines.push(line);
      line = '';
      used = 0;
    }
    if (used > 0) {
      line += separator;
      used += separator.length;
    }
    line += paint ? paint(shown) : shown;
    used += needed;
  }
  return used > 0 ? [...lines, line] : lines;
}

// The table of nodes, a row for each. Columns that do not fit are left out, the less important ones
// first, and so are nodes that there are no rows for.

const gap = '  ';
const barWidth = 12;

interface Column {
  readonly title: string;
  /** The lower, the longer it stays when space gets scarce. */
  readonly rank: number;
  text(node: NodeSample): string;
}

const columns: readonly Column[] = [
  { title: 'keys', rank: 0, text: ({ keys }) => formatCount(keys) },
  { title: 'share', rank: 2, text: ({ share }) => `${(share * 100).toFixed(1)} %` },
  { title: 'keys/s', rank: 1, text: ({ keysPerSecond }) => formatCount(keysPerSecond) },
  { title: 'in flight', rank: 3, text: ({ inflightKeys }) => formatCount(inflightKeys) },
  { title: 'retries', rank: 4, text: ({ retries }) => formatCount(retries) },
];

interface TableSize {
  readonly width: number;
  readonly rows: number;
}

function nodeTable(
  nodes: readonly NodeSample[],
  { width, rows }: TableSize,
  colours: Colors,
): string[] {
  if (nodes.length === 0 || rows < 3) return [];
  const shown = nodes.length <= rows - 1 ? nodes : nodes.slice(0, rows - 2);
  const nameWidth = Math.max(4, ...shown.map(({ address }) => address.length));
  const { kept, names } = whatFits(shown, nameWidth, width);
  const barFits = names + sum(kept.map((column) => column.width)) + barWidth + gap.length <= width;
  const most = Math.max(...nodes.map(({ share }) => share));
  const header = [
    'node'.padEnd(names),
    ...kept.map(({ title, width: wide }) => title.padStart(wide)),
  ];
  const left = nodes.length - shown.length;
  return [
    colours.dim(header.join('')),
    ...shown.map((node) => {
      const cells = kept.map((column) => column.text(node).padStart(column.width));
      const line = fit(node.address, names).padEnd(names) + cells.join('');
      return barFits ? line + gap + colours.cyan(bar(node.share, most)) : line;
    }),
    ...(left > 0 ? [colours.dim(`… and ${formatCount(left)} more`)] : []),
  ];
}

function whatFits(shown: readonly NodeSample[], nameWidth: number, width: number) {
  let kept = columns.map((column) => ({
    ...column,
    width:
      gap.length + Math.max(column.title.length, ...shown.map((node) => column.text(node).length)),
  }));
  while (kept.length > 1 && nameWidth + sum(kept.map((column) => column.width)) > width) {
    const worst = Math.max(...kept.map(({ rank }) => rank));
    kept = kept.filter(({ rank }) => rank !== worst);
  }
  const room = width - sum(kept.map((column) => column.width));
  return { kept, names: Math.max(0, Math.min(nameWidth, room)) };
}

/** Compared with the node that got most, so that small clusters and large ones look alike. */
function bar(share: number, most: number): string {
  return '━'.repeat(most === 0 ? 0 : Math.round((share / most) * barWidth));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
