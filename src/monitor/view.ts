/**
 * The terminal's picture of a run, as lines that fit: how far, how fast, how long, to which nodes,
 * and what went wrong. A function of a sample and a size, and of nothing else.
 */
import type { Colors } from 'picocolors/types.js';
import { formatBytes, formatCount, formatDuration } from '../format.js';
import { harmless, quoteKey } from '../quote.js';
import { reportedFailure } from '../report.js';
import type { KeyFailure } from '../types.js';
import { fit, flow, type Piece } from './lines.js';
import { nodeTable } from './node-table.js';
import type { RunFacts, Sample } from './sampler.js';

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
  const left = speed.leftMs === undefined ? '–' : formatDuration(speed.leftMs);
  const { isPaused } = sample.facts.steering;
  return [
    { text: `${formatCount(snapshot.moved)} keys`, paint: colours.bold },
    { text: `${formatCount(speed.keysPerSecond)} keys/s` },
    { text: `${formatBytes(speed.bytesPerSecond)}/s` },
    { text: `${formatDuration(atMs - snapshot.startedAtMs)} so far` },
    isPaused
      ? { text: 'PAUSED', paint: (text) => colours.bold(colours.yellow(text)) }
      : { text: `${left} left`, paint: colours.bold },
    ...(latencySeconds === undefined
      ? []
      : [{ text: `source answers in ${formatMs(latencySeconds)}` }]),
    ...counted(snapshot.conflicting, 'conflicting', colours.yellow),
    ...counted(snapshot.failed, 'failed', colours.red),
  ];
}

function counted(count: number, word: string, paint: Piece['paint']): Piece[] {
  return count > 0 ? [{ text: `${formatCount(count)} ${word}`, paint }] : [];
}

function formatMs(seconds: number): string {
  const ms = seconds * 1000;
  return `${ms < 10 ? ms.toFixed(1) : String(Math.round(ms))} ms`;
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
