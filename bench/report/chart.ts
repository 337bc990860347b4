/**
 * The contests as a picture: a panel for each dataset, a bar for each rival.
 *
 * Written by hand, as it is a few rectangles and words. Its ground is clear and its colours are of
 * middling lightness, so that it reads on a white page and on a dark one alike.
 */
import type { Standing } from '../types.js';
import { machineLine } from './machine.js';
import type { ContestResult } from './results.js';
import { short } from './table.js';

const width = 860;
const labelWidth = 230;
const numbersWidth = 190;
const barHeight = 16;
const barPitch = 23;
const panelHead = 40;
const panelGap = 14;
const margin = 16;
const text = '#7d8792';

const bars = { ours: '#5b8def', others: '#a0a8b2', rule: '#8b949e' };

/** @returns an SVG document; undefined when there is nothing to show. */
export function throughputChart(contests: readonly ContestResult[]): string | undefined {
  const [first] = contests;
  if (first === undefined) return undefined;
  let top = 44;
  const panels = contests.map((contest) => {
    const shown = contest.standings.filter(isShown);
    if (shown.length === 0) return '';
    const panel = drawPanel(contest.title, shown, top);
    top += panelHead + shown.length * barPitch + panelGap;
    return panel;
  });
  const height = top + 20;
  const words = 'keys per second, and how many times those of redis-cli --cluster import';
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(width)} ${String(height)}" width="${String(width)}" height="${String(height)}" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="13" role="img">`,
    `<title>Throughput: ${words}</title>`,
    label(margin, 26, words, { size: 15, weight: 600 }),
    ...panels,
    label(margin, height - 12, machineLine(first.machine), { size: 10 }),
    '</svg>',
    '',
  ].join('\n');
}

/** The floor delivers nothing, so it has no throughput to be shown. */
function isShown(standing: Standing): boolean {
  return !standing.rival.startsWith('floor');
}

function drawPanel(title: string, standings: readonly Standing[], top: number): string {
  const most = Math.max(...standings.map((standing) => standing.keysPerSecond));
  const room = width - 2 * margin - labelWidth - numbersWidth;
  const rows = standings.map((standing, index) => {
    const y = top + panelHead - 8 + index * barPitch;
    const isOurs = standing.title.startsWith('cluster-import');
    const length = Math.max(2, (standing.keysPerSecond / most) * room);
    const x = margin + labelWidth;
    const ratio = standing.ratios['redis-cli'];
    const numbers = `${short(standing.keysPerSecond)}/s${ratio === undefined ? '' : `  ·  ${short(ratio)} ×`}`;
    const middle = y + barHeight - 4;
    return [
      label(x - 10, middle, standing.title, { anchor: 'end' }),
      `<rect x="${String(x)}" y="${String(y)}" width="${length.toFixed(1)}" height="${String(barHeight)}" rx="3" fill="${isOurs ? bars.ours : bars.others}"/>`,
      label(x + length + 8, middle, numbers, { weight: isOurs ? 600 : 400 }),
    ].join('\n');
  });
  const rule = `<path d="M${String(margin)} ${String(top)}H${String(width - margin)}" stroke="${bars.rule}" stroke-opacity="0.35"/>`;
  return [rule, label(margin, top + 20, title, { weight: 600 }), ...rows].join('\n');
}

interface Look {
  readonly size?: number;
  readonly weight?: number;
  readonly anchor?: 'start' | 'end';
}

function label(x: number, y: number, words: string, look: Look): string {
  const { size = 13, weight = 400, anchor = 'start' } = look;
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${String(y)}" fill="${text}" font-size="${String(size)}" font-weight="${String(weight)}" text-anchor="${anchor}">${escaped}</text>`;
}
