/**
 * The terminal's picture of a run, as lines that fit: what goes where, how far, how fast, how long, how each
 * server does, and what went wrong. A function of a snapshot and a size, and of nothing else.
 */
import type { Colors, Formatter } from 'picocolors/types.js';
import {
  followWords,
  formatBytes,
  formatCount,
  formatDuration,
  harmless,
  quoteKey,
} from '../format.js';
import type { ReportedCause } from '../report.js';
import type { Standing } from './live.js';
import { type Column, fit, flow, type Piece, tableLines } from './table.js';
import {
  countWords,
  healthWords,
  latencyWords,
  limitWords,
  type Mood,
  percentWords,
  rateWords,
  routeWords,
  type Said,
  timeWords,
  whyWords,
} from './words.js';
import type { SourceSample } from './sampler.js';

const widest = 110;
const shownCauses = 3;
const shownKeyLength = 30;

export interface ViewSize {
  readonly columns: number;
  readonly rows: number;
}

export interface ViewOptions {
  /** What the keys do; undefined: there are none. */
  readonly hint?: string | undefined;
}

export function viewLines(
  standing: Standing,
  size: ViewSize,
  colours: Colors,
  { hint }: ViewOptions = {},
): string[] {
  // The last column stays free: some terminals wrap as soon as it is written to.
  const width = Math.max(1, Math.min(widest, size.columns - 1));
  const head = [
    ...flow(titlePieces(standing, colours), width),
    barLine(standing, width, colours),
    ...flow(numbers(standing, colours), width),
    ...followLines(standing, width, colours),
    ...troubleLines(standing, width, colours),
  ];
  const causes = causeLines(standing, width, colours);
  const foot = hint === undefined ? [] : [colours.dim(fit(hint, width))];
  // One row for the cursor, and one between head and table.
  const rows = size.rows - head.length - causes.length - foot.length - 2;
  const table = serverTable(standing, { width, rows }, colours);
  const lines = [...head, ...(table.length > 0 ? ['', ...table] : []), ...causes];
  const most = Math.max(1, size.rows - 1);
  return [...lines.slice(0, Math.max(1, most - foot.length)), ...foot].slice(0, most);
}

function titlePieces(standing: Standing, { bold, dim, yellow }: Colors): Piece[] {
  const { report, limits, nodes } = standing;
  const masters = nodes.length > 1 ? ` (${formatCount(nodes.length)} nodes)` : '';
  const held = limitWords(limits);
  return [
    { text: `${routeWords(standing)}${masters}`, paint: bold },
    ...held.map((limit) => ({ text: `limit ${limit}`, paint: yellow })),
    ...(report.mode === 'dry-run' ? [] : [{ text: `via ${report.mover}`, paint: dim }]),
  ];
}

/** What was moved, what was left behind, and what is to come. */
function barLine(standing: Standing, width: number, colours: Colors): string {
  const { progress, unmovedProgress, report, paused } = standing;
  const arrived = Math.max(0, progress - unmovedProgress);
  const percent = ` ${percentWords(standing)}`;
  const length = width - percent.length;
  if (length < 5) return fit(percent.trim(), width);
  const done = Math.floor(arrived * length);
  const all = Math.floor(progress * length);
  // However few they are: nobody should overlook them.
  const unmoved = unmovedProgress > 0 ? Math.max(1, all - done) : 0;
  const rest = Math.max(0, length - done - unmoved);
  const mood = timeWords(standing)?.mood;
  const paint = paused || mood === 'waiting' ? colours.yellow : colours.cyan;
  const left = report.keys.failed > 0 ? colours.red : colours.yellow;
  return (
    paint('━'.repeat(Math.min(done, length - unmoved))) +
    (unmoved > 0 ? left('━'.repeat(unmoved)) : '') +
    colours.dim('─'.repeat(rest)) +
    colours.bold(percent)
  );
}

/** What both the view and the line say, the most important first. */
export function numbers(standing: Standing, colours: Colors): Piece[] {
  const { report, bytesPerSecond } = standing;
  const { conflicting, failed } = report.keys;
  const isDryRun = report.mode === 'dry-run';
  const said = [timeWords(standing), latencyWords(standing)];
  return [
    { text: countWords(standing), paint: colours.bold },
    { text: rateWords(standing) },
    // A dry run reads no values.
    ...(isDryRun ? [] : [{ text: `${formatBytes(bytesPerSecond)}/s` }]),
    { text: `${formatDuration(report.durationMs)} so far` },
    ...said.flatMap((one) => (one ? [pieceOf(one, colours)] : [])),
    ...counted(conflicting, 'conflicting', colours.yellow),
    ...counted(failed, 'failed', colours.red),
  ];
}

function pieceOf({ text, mood }: Said, colours: Colors): Piece {
  return { text: harmless(text), paint: paintOf(mood, colours) };
}

function paintOf(mood: Mood, { yellow, red, bold }: Colors): Formatter | undefined {
  switch (mood) {
    case 'held':
    case 'waiting':
      return (text) => bold(yellow(text));
    case 'bad':
      return (text) => bold(red(text));
    case 'well':
    case 'over':
      return undefined;
  }
}

function counted(count: number, word: string, paint: Piece['paint']): Piece[] {
  return count > 0 ? [{ text: `${formatCount(count)} ${word}`, paint }] : [];
}

function followLines({ follow }: Standing, width: number, { bold }: Colors): string[] {
  return follow ? [bold(fit(harmless(followWords(follow)), width))] : [];
}

const shownTroubles = 3;

/** Why servers are away, in their own words. */
function troubleLines({ nodes, sources }: Standing, width: number, { red }: Colors): string[] {
  const servers = [
    ...sources.map(({ name, health }) => ({ name, health })),
    ...nodes.map(({ address, health }) => ({ name: address, health })),
  ].filter(
    ({ health: { state, why } }) => why !== null && (state === 'away' || state === 'given-up'),
  );
  return servers
    .slice(0, shownTroubles)
    .map(({ name, health }) => red(fit(`✗ ${name}: ${whyWords(name, health)}`, width)));
}

/** What was left behind, by what kept it, each on one line. */
function causeLines({ report }: Standing, width: number, colours: Colors): string[] {
  const { causes = [] } = report;
  const shown = causes.slice(0, shownCauses).map((cause) => {
    const paint = cause.class === 'conflict' ? colours.yellow : colours.red;
    return paint(fit(`! ${causeWords(cause)}`, width));
  });
  const more = causes.slice(shownCauses).reduce((sum, { count }) => sum + count, 0);
  return [
    ...(shown.length > 0 ? [''] : []),
    ...shown,
    ...(more > 0 ? [colours.dim(`  and ${formatCount(more)} for other reasons`)] : []),
  ];
}

/** `132,968 unavailable: connection refused, for example "k:1", "k:2"` */
export function causeWords({ from, class: why, count, message, examples }: ReportedCause): string {
  const of = from === undefined ? '' : ` of ${from}`;
  const keys = examples.map((key) => quoteKey(key, shownKeyLength)).join(', ');
  const word = count > examples.length ? 'for example ' : '';
  return `${formatCount(count)} ${why}${of}: ${harmless(message)} – ${word}${keys}`;
}

const columns: readonly Column<Row>[] = [
  {
    title: '',
    rank: 1,
    text: ({ state }) => state.text,
    isLeft: true,
    mood: ({ state }) => state.mood,
  },
  { title: 'keys', rank: 0, text: ({ keys }) => formatCount(keys) },
  { title: 'keys/s', rank: 2, text: ({ keysPerSecond }) => formatCount(keysPerSecond) },
  { title: 'share', rank: 3, text: ({ share }) => (share === null ? '' : percent(share)) },
  { title: 'in flight', rank: 4, text: ({ inflight }) => countOf(inflight) },
  { title: 'retries', rank: 6, text: ({ retries }) => countOf(retries) },
  {
    title: 'left behind',
    rank: 5,
    text: ({ unmoved }) => (unmoved > 0 ? formatCount(unmoved) : ''),
    mood: () => 'bad',
  },
];

/** A server, be it a source or a node. */
interface Row {
  readonly name: string;
  readonly state: Said;
  readonly keys: number;
  readonly keysPerSecond: number;
  /** Null where it means nothing. */
  readonly share: number | null;
  readonly inflight: number | null;
  readonly retries: number | null;
  readonly unmoved: number;
}

/** The sources, where there are several of them, and the nodes. */
function serverTable(
  { sources, nodes, atMs }: Standing,
  { width, rows }: { readonly width: number; readonly rows: number },
  colours: Colors,
): string[] {
  const sourceRows = busyFirst(sources).map(
    ({ name, moved, keysPerSecond, progress, health, ...left }) => ({
      name,
      state: healthWords(health, atMs),
      keys: moved,
      keysPerSecond,
      share: progress,
      inflight: null,
      retries: null,
      unmoved: left.conflicting + left.failed,
    }),
  );
  const nodeRows = nodes.map(({ address, health, keys, inflightKeys, ...node }) => ({
    name: address,
    state: healthWords(health, atMs),
    keys,
    keysPerSecond: node.keysPerSecond,
    share: node.share,
    inflight: inflightKeys,
    retries: node.retries,
    unmoved: node.unmoved,
  }));
  const paint = (mood: Mood): Formatter | undefined => paintOf(mood, colours);
  const groups = [
    ...(sources.length > 1 ? [{ title: 'source', rows: sourceRows }] : []),
    { title: 'node', rows: nodeRows },
  ];
  return tableLines(groups, columns, { width, rows, paint, dim: colours.dim });
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function countOf(count: number | null): string {
  return count === null ? '' : formatCount(count);
}

/* In which order many sources are shown where there is no room for all: what wants to be seen comes first. */

/** As many stay in their order, whatever becomes of them: rows that jump are hard to read. */
const mostInOrder = 20;

/** Those that are not well, those under way, those that wait, and those that are done. */
export function busyFirst(sources: readonly SourceSample[]): readonly SourceSample[] {
  if (sources.length <= mostInOrder) return sources;
  return sources.toSorted((one, other) => rankOf(one) - rankOf(other));
}

function rankOf({ health, progress, moved, conflicting, failed }: SourceSample): number {
  if (health.state !== 'ok') return 0;
  if (progress >= 1) return 3;
  return moved + conflicting + failed > 0 ? 1 : 2;
}
