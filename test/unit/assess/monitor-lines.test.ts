import { expect, it } from 'vitest';
import { keptBytes, linesReader } from '../../../src/assess/monitor.js';

/** A short line, one that is just short enough, one that is not, and a short one. */
const text = ['+OK', 'a'.repeat(keptBytes - 1), 'b'.repeat(keptBytes), '+c'].join('\r\n');
const bytes = Buffer.from(`${text}\r\n`);

it.each([bytes.length, 61, 1000, 65_536, keptBytes])(
  'cuts the same lines when they come in pieces of %i bytes',
  (pieceBytes) => {
    const lines: string[] = [];
    const reader = linesReader(
      (line, isCut) =>
        lines.push(`${line.slice(0, 3)} ${String(line.length)} ${isCut ? 'cut' : 'whole'}`),
      () => undefined,
    );
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes);
      expect(reader.take(piece, 0, piece.length)).toBe(piece.length);
    }
    expect(lines).toEqual([
      '+OK 3 whole',
      `aaa ${String(keptBytes - 1)} whole`,
      `bbb ${String(keptBytes)} cut`,
      '+c 2 whole',
    ]);
  },
);
