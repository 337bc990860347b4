/**
 * Tables of servers on a terminal, a row for each. Columns that do not fit are left out, the less important ones
 * first, and so are rows that there is no room for. A column that is empty everywhere is left out as well.
 */
import type { Formatter } from 'picocolors/types.js';
import { formatCount, widthOf } from '../format.js';
import type { Mood } from './words.js';

const gap = '  ';

export interface Column<Row> {
  readonly title: string;
  /** The lower, the longer it stays when space gets scarce. */
  readonly rank: number;
  text(row: Row): string;
  readonly isLeft?: boolean;
  readonly mood?: (row: Row) => Mood;
}

interface Named {
  readonly name: string;
}

export interface Group<Row> {
  /** What stands above its names. */
  readonly title: string;
  readonly rows: readonly Row[];
}

export interface TableOptions {
  readonly width: number;
  readonly rows: number;
  readonly paint: (mood: Mood) => Formatter | undefined;
  readonly dim: Formatter;
}

/** Groups stand below one another with the same columns, each with a line of titles. */
export function tableLines<Row extends Named>(
  groups: readonly Group<Row>[],
  columns: readonly Column<Row>[],
  { width, rows: room, paint, dim }: TableOptions,
): string[] {
  const used = groups.filter(({ rows }) => rows.length > 0);
  if (used.length === 0 || room < 3) return [];
  const shown = cut(used, room);
  const all = shown.flatMap(({ rows }) => rows);
  const nameWidth = Math.max(4, ...all.map(({ name }) => widthOf(name)));
  const { kept, names } = whatFits(columns, all, nameWidth, width);
  return shown.flatMap(({ title, rows, left }) => [
    dim([title.padEnd(names), ...kept.map((column) => cell(column, column.title))].join('')),
    ...rows.map((row) => {
      const cells = kept.map((column) => {
        const text = cell(column, column.text(row));
        const painted = column.mood && paint(column.mood(row));
        return painted ? painted(text) : text;
      });
      const name = fit(row.name, names);
      return name + ' '.repeat(Math.max(0, names - widthOf(name))) + cells.join('');
    }),
    ...(left > 0 ? [dim(`… and ${formatCount(left)} more`)] : []),
  ]);
}

interface Fitting<Row> extends Column<Row> {
  readonly width: number;
}

function cell<Row>({ width, isLeft }: Fitting<Row>, text: string): string {
  return isLeft === true ? (gap + text).padEnd(width) : text.padStart(width);
}

/** The last group gets what the others leave; of each some rows are shown. */
function cut<Row>(
  groups: readonly Group<Row>[],
  room: number,
): (Group<Row> & { readonly left: number })[] {
  let free = room;
  return groups.map(({ title, rows }, at) => {
    const others = groups.length - at - 1;
    const mine = Math.max(0, free - 1 - others * 3);
    const fits = rows.length <= mine;
    const shown = fits ? rows : rows.slice(0, Math.max(0, mine - 1));
    free -= 1 + shown.length + (fits ? 0 : 1);
    return { title, rows: shown, left: rows.length - shown.length };
  });
}

function whatFits<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  nameWidth: number,
  width: number,
): { readonly kept: readonly Fitting<Row>[]; readonly names: number } {
  let kept = columns
    .map((column) => ({ column, texts: rows.map((row) => column.text(row)) }))
    .filter(({ texts }) => texts.some((text) => text !== ''))
    .map(({ column, texts }) => ({
      ...column,
      width: gap.length + Math.max(column.title.length, ...texts.map((text) => text.length)),
    }));
  while (kept.length > 1 && nameWidth + widthsOf(kept) > width) {
    const worst = Math.max(...kept.map(({ rank }) => rank));
    kept = kept.filter(({ rank }) => rank !== worst);
  }
  return { kept, names: Math.max(0, Math.min(nameWidth, width - widthsOf(kept))) };
}

function widthsOf(columns: readonly { readonly width: number }[]): number {
  return columns.reduce((sum, { width }) => sum + width, 0);
}

/* Text that has to fit into a terminal: how wide it is, and what to do when it is too wide. */

/** A piece of text and its colour, kept apart because only the text has a width. */
export interface Piece {
  readonly text: string;
  readonly paint?: Formatter | undefined;
}

const separator = ' · ';

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
