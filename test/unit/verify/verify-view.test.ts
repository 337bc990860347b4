import { stripVTControlCharacters } from 'node:util';
import colours from 'picocolors';
import { describe, expect, it } from 'vitest';
import {
  verifyLine,
  verifyLines,
  type VerifyWatched,
  watchVerify,
} from '../../../src/commands/verify/verify-view.js';
import { createFindings } from '../../../src/verify/differences.js';
import { sourceOf } from '../../support/batches.js';

const plain = colours.createColors(false);

function watching(): {
  watched: VerifyWatched;
  read: ReturnType<typeof watchVerify>;
  readonly go: (seconds: number) => void;
  readonly set: (there: number, back: number) => void;
} {
  let nowMs = 0;
  let [there, back] = [0, 0];
  const withProgress = (read: () => number) => ({
    keys: {
      ...sourceOf(1000),
      get progress() {
        return read();
      },
    },
  });
  const watched: VerifyWatched = {
    from: ['a:1/0'],
    to: 'b:2',
    sources: [withProgress(() => there)],
    masters: [withProgress(() => back)],
    findings: createFindings(() => undefined),
  };
  return {
    watched,
    read: watchVerify(watched, () => nowMs),
    go(seconds) {
      nowMs += seconds * 1000;
    },
    set(one, other) {
      [there, back] = [one, other];
    },
  };
}

describe('the view of verify', () => {
  it('shows both ways, and the time that the slower one needs', () => {
    const { read, go, set, watched } = watching();
    for (let second = 1; second <= 10; second++) {
      go(1);
      set(second / 100, second / 10);
      watched.findings.addCompared(10);
      watched.findings.addLookedBack(100);
      read();
    }
    watched.findings.add({ key: Buffer.from('k'), kind: 'ttl', message: 'another' });
    const lines = verifyLines(read(), 100, plain);
    expect(lines[0]).toBe('verifying a:1/0 ↔ the cluster of b:2');
    expect(lines[1]).toMatch(/^━+─+ 10\.0 %$/);
    expect(lines[2]).toBe('source → cluster: 100 keys of the source compared');
    expect(lines[3]).toMatch(/^━+ 100\.0 %$/);
    expect(lines[4]).toBe('cluster → source: 1,000 keys of the cluster looked up at the source');
    expect(lines[5]).toBe('10 keys/s · 10 s so far · 1 min 30 s left · 1 ttl');
  });

  it('promises no time before it knows, and says that nothing differs so far', () => {
    const { read, go } = watching();
    go(1);
    expect(verifyLine(read())).toBe(
      'source → cluster 0.0 % (0 keys) · cluster → source 0.0 % (0 keys) · ' +
        '0 keys/s · 1.0 s so far · estimating … · no difference so far',
    );
  });

  it.each([30, 60, 200])('fits into %d columns', (columns) => {
    const { read, go } = watching();
    go(5);
    const bright = verifyLines(read(), columns, colours.createColors(true));
    const lengths = bright.map((line) => stripVTControlCharacters(line).length);
    expect(Math.max(...lengths)).toBeLessThan(columns);
  });
});
