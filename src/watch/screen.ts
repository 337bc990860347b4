/**
 * Where people read: a stream that may hold a view which is drawn over and over, with everything
 * else that is said staying above it.
 *
 * Each stream has one screen, so that its writers (progress, logs, the command line) never
 * write into each other's view.
 */
import { createLogUpdate } from 'log-update';
import picocolors from 'picocolors';
import type { Colors } from 'picocolors/types.js';

export interface Screen {
  /** A view can be drawn: it is a terminal, and has a size. */
  readonly isTerminal: boolean;
  /** Colours what is written there, by the terminal's own account and by NO_COLOR. */
  readonly palette: Colors;
  readonly columns: number;
  readonly rows: number;
  /** Says something that stays; whole lines. @param fitted what a terminal of so many columns gets instead. */
  readonly write: (text: string, fitted?: (columns: number) => string) => void;
  /** Puts these lines in the place of those that were drawn before. */
  draw(lines: readonly string[]): void;
  /** Takes the view away. */
  clear(): void;
}

type Stream = NodeJS.WriteStream | NodeJS.WritableStream;

/** Text as it is, where there are no colours. */
export const plain = picocolors.createColors(false);

const screens = new WeakMap<Stream, Screen>();

export function screenOf(stream: Stream): Screen {
  let screen = screens.get(stream);
  if (!screen) screens.set(stream, (screen = open(stream)));
  return screen;
}

function open(stream: Stream): Screen {
  // Some terminals have no size (in containers, say): there nothing can be drawn in its place.
  return 'isTTY' in stream && stream.isTTY && stream.columns > 0
    ? terminal(stream)
    : {
        isTerminal: false,
        palette: plain,
        columns: 80,
        rows: 24,
        write: (text) => void stream.write(text),
        draw: () => undefined,
        clear: () => undefined,
      };
}

function terminal(stream: NodeJS.WriteStream): Screen {
  const update = createLogUpdate(stream, { showCursor: true });
  let drawn: readonly string[] = [];
  let drawnColumns = stream.columns;

  /**
   * A terminal that became narrower has wrapped what stood there, and log-update does not know how
   * many rows it takes now.
   */
  function eraseWrapped(): void {
    const rows = drawn.reduce((sum, line) => sum + rowsOf(line, stream.columns), 0);
    stream.write(`\u001b[${String(rows)}A\r\u001b[J`);
    update.done();
  }

  function clear(): void {
    if (drawn.length === 0) return;
    if (stream.columns < drawnColumns) eraseWrapped();
    else update.clear();
    drawn = [];
  }

  function draw(lines: readonly string[]): void {
    // Nor does it redraw equal lines at the end that move up or down because others came or went.
    if (stream.columns < drawnColumns || lines.length !== drawn.length) clear();
    update(lines.join('\n'));
    drawn = lines;
    drawnColumns = stream.columns;
  }

  return {
    isTerminal: true,
    palette: picocolors.createColors(stream.hasColors()),
    get columns() {
      return stream.columns;
    },
    get rows() {
      return stream.rows;
    },
    write(text, fitted) {
      const view = drawn;
      clear();
      stream.write(fitted ? fitted(stream.columns) : text);
      if (view.length > 0) draw(view);
    },
    draw,
    clear,
  };
}

const colours = /\u001b\[[\d;]*m/g;

function rowsOf(line: string, columns: number): number {
  return Math.max(1, Math.ceil(line.replace(colours, '').length / columns));
}

const drawEveryMs = 200;
const lineEveryMs = 5000;

/** What is shown: lines where a view can be drawn, else one line. */
export interface Shown {
  lines(): readonly string[];
  line(): string;
}

/**
 * Shows how far something has come: on a terminal in its place, else every few seconds.
 * @param screen undefined: nothing is shown.
 */
export function showRegularly(screen: Screen | undefined, shown: Shown): { stop(): void } {
  if (!screen) return { stop: () => undefined };
  const timer = setInterval(
    () => {
      if (screen.isTerminal) screen.draw(shown.lines());
      else screen.write(`${shown.line()}\n`);
    },
    screen.isTerminal ? drawEveryMs : lineEveryMs,
  );
  // Watching must not keep the process up.
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
      screen.clear();
    },
  };
}

/**
 * Shows one line on how far something has come.
 * @param line what there is to say by now.
 * @param stream undefined: nothing is shown.
 */
export function showPassingLine(
  line: () => string,
  stream: NodeJS.WritableStream | undefined,
): { stop(): void } {
  return showRegularly(stream && screenOf(stream), { lines: () => [line()], line });
}
