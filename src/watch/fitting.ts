/** Text that has to fit into a terminal: how wide it is, and what to do when it is too wide. */
import type { Formatter } from 'picocolors/types.js';

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
