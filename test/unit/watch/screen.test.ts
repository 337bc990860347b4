import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { type Screen, screenOf } from '../../../src/watch/screen.js';

/** A terminal of 40 columns and 20 rows, as far as log-update uses it. */
function openTerminal(): { screen: Screen; shown: () => readonly string[] } {
  const rows: string[] = [''];
  let row = 0;
  let column = 0;
  const put = (text: string): void => {
    const line = (rows[row] ?? '').padEnd(column);
    rows[row] = line.slice(0, column) + text + line.slice(column + text.length);
    column += text.length;
  };
  const obey = (count: number, order: string): void => {
    if (order === 'A') row -= count;
    else if (order === 'B') row += count;
    else if (order === 'G') column = count - 1;
    else if (order === 'K') rows[row] = count === 2 ? '' : (rows[row] ?? '').slice(0, column);
    else if (order !== 'h' && order !== 'l') throw new Error(`an unknown order: ${order}`);
  };
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      for (const [, digits, order, text] of String(chunk).matchAll(
        /\u001b\[\??(\d*)([A-Za-z])|([^\u001b])/g,
      )) {
        if (order !== undefined) obey(digits ? Number(digits) : order === 'K' ? 0 : 1, order);
        else if (text === '\n') [row, column] = [row + 1, 0];
        else if (text !== undefined) put(text);
      }
      done();
    },
  });
  const terminal = { isTTY: true, columns: 40, rows: 20, hasColors: () => false };
  const screen = screenOf(Object.assign(stream, terminal));
  return { screen, shown: () => rows.slice(0, row) };
}

describe('a view that is drawn over and over', () => {
  it('keeps its last line when others come and go above it', () => {
    const { screen, shown } = openTerminal();
    screen.write('above\n');
    const frames = [
      ['title', 'bar 1', 'node 1', 'hint'],
      ['title', 'bar 2', 'PAUSED', 'node 1', 'hint'],
      ['title', 'bar 2', 'PAUSED', 'node 2', 'hint'],
      ['title', 'bar 3', 'node 3', 'hint'],
      ['title', 'bar 3', 'node 4', 'hint'],
    ];
    for (const lines of frames) {
      screen.draw(lines);
      expect(shown()).toEqual(['above', ...lines]);
    }
    screen.clear();
    expect(shown()).toEqual(['above']);
  });
});

it('says things as they fit, above the view', () => {
  const { screen, shown } = openTerminal();
  screen.draw(['title', 'hint']);
  screen.write('a line for elsewhere\n', (columns) => `${String(columns)} columns\n`);
  expect(shown()).toEqual(['40 columns', 'title', 'hint']);
});
