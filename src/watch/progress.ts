/**
 * How far the run has come, for those who watch it: on a terminal a view that is drawn in its place,
 * else one line every few seconds.
 */
import type { Colors } from 'picocolors/types.js';
import { followWords, harmless } from '../format.js';
import type { Standing } from './live.js';
import { plain, type Screen, showRegularly } from './screen.js';
import { numbers, viewLines, type ViewOptions } from './view.js';
import { percentWords } from './words.js';

export interface Progress {
  /** Leaves the terminal as it was found. */
  stop(): void;
}

/** @param read how the run stands now. */
export function showProgress(
  read: () => Standing,
  screen: Screen,
  options: ViewOptions = {},
): Progress {
  const { palette } = screen;
  return showRegularly(screen, {
    lines: () => viewLines(read(), screen, palette, options),
    line: () => progressLine(read(), palette),
  });
}

/** The same numbers on one line, and behind them how the source is followed. */
export function progressLine(standing: Standing, palette: Colors = plain): string {
  const { follow } = standing;
  return [numbersLine(standing, palette), ...(follow ? [harmless(followWords(follow))] : [])].join(
    ' · ',
  );
}

export function numbersLine(standing: Standing, palette: Colors = plain): string {
  return [percentWords(standing), ...numbers(standing, palette).map(({ text }) => text)].join(
    ' · ',
  );
}
