import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { askDeadlines } from '../../../../src/movers/relay/deadlines.js';
import type { Reader } from '../../../../src/redis/reply.js';
import { feed } from '../../../support/feed.js';
import { mockConnection } from '../../../support/mock-connection.js';
import { keysOf } from '../../../support/keys.js';

const nowMs = 1_700_000_000_000;

function ask(answer: string, ...keys: string[]) {
  const source = mockConnection();
  const deadlines = askDeadlines(source, keysOf(...keys));
  const { ending } = feed(source.readers[1] as Reader, Buffer.from(answer));
  return { deadlines: [...deadlines.byKey], ending, sent: source.sent() };
}

/** The source's clock is an hour ahead, and tells microseconds. */
const time = (ms: number): string => {
  const seconds = String(Math.floor((ms + 3_600_000) / 1000));
  const micros = String(((ms + 3_600_000) % 1000) * 1000);
  return `*2\r\n$${String(seconds.length)}\r\n${seconds}\r\n$${String(micros.length)}\r\n${micros}\r\n`;
};

/** One question on a connection: answered by the source from one moment to another, and read at a third. */
function askOver(
  source: ReturnType<typeof mockConnection>,
  [fromMs, answeredMs]: readonly [number, number],
  readMs: number,
) {
  const first = source.readers.length;
  const deadlines = askDeadlines(source, keysOf('a', 'b'));
  vi.setSystemTime(readMs);
  const [before, ttls, after] = source.readers.slice(first);
  feed(before as Reader, Buffer.from(time(fromMs)));
  feed(ttls as Reader, Buffer.from(':60000\r\n:-1\r\n'));
  feed(after as Reader, Buffer.from(time(answeredMs)));
  return deadlines;
}

/** One that is answered at one moment. */
function askAlong(source: ReturnType<typeof mockConnection>, answeredMs: number, readMs: number) {
  return [...askOver(source, [answeredMs, answeredMs], readMs).byKey];
}

describe('deadlines', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: nowMs });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('are asked for key by key, and counted from now', () => {
    const { deadlines, sent } = ask(':-1\r\n:-2\r\n:0\r\n:1500\r\n', 'a', 'b', 'c', '');
    expect(deadlines).toEqual([0, 0, nowMs, nowMs + 1500]);
    expect(sent).toBe(
      ['1\r\na', '1\r\nb', '1\r\nc', '0\r\n']
        .map((key) => `*2\r\n$4\r\nPTTL\r\n$${key}\r\n`)
        .join('')
        .replace(/^|$/g, '*1\r\n$4\r\nTIME\r\n'),
    );
  });

  it('are not sure where the source answered some of them much later than others', () => {
    const source = mockConnection();
    const sureAfter = (ms: number): boolean =>
      askOver(source, [nowMs, nowMs + ms], nowMs + 10_000).areSure;
    expect([0, 500, 501, 3000].map(sureAfter)).toEqual([true, true, false, false]);
  });

  it('are none that a node takes where the source does not serve the key', () => {
    const { deadlines } = ask(':-1\r\n-MOVED 7 h:1\r\n:1500\r\n', 'a', 'b', 'c');
    expect(deadlines).toEqual([0, Infinity, nowMs + 1500]);
  });

  it('are not stretched by a line that stands still, on the way there or back', () => {
    const source = mockConnection();
    const soon = askAlong(source, nowMs + 1, nowMs + 2);
    expect(soon).toEqual([nowMs + 2 + 60_000, 0]);
    vi.setSystemTime(nowMs + 100);
    expect(askAlong(source, nowMs + 101, nowMs + 9000)).toEqual([nowMs + 102 + 60_000, 0]);
    vi.setSystemTime(nowMs + 10_000);
    expect(askAlong(source, nowMs + 18_999, nowMs + 19_000)).toEqual([nowMs + 19_000 + 60_000, 0]);
  });

  it('stay between question and answer, whatever the source’s clock does', () => {
    const source = mockConnection();
    askAlong(source, nowMs, nowMs);
    for (const leapMs of [-(10 ** 8), 10 ** 8]) {
      vi.setSystemTime(nowMs + 100);
      const [deadline = 0] = askAlong(source, nowMs + leapMs, nowMs + 300);
      expect(deadline).toBeGreaterThanOrEqual(nowMs + 100 + 60_000);
      expect(deadline).toBeLessThanOrEqual(nowMs + 300 + 60_000);
    }
  });

  it('are counted from their arrival where the source doesn’t tell the time, and it is asked once', () => {
    const source = mockConnection();
    const deadlines = askDeadlines(source, keysOf('a'));
    vi.setSystemTime(nowMs + 50);
    const [before, ttls, after] = source.readers;
    feed(before as Reader, Buffer.from('-NOPERM no time\r\n'));
    feed(ttls as Reader, Buffer.from(':1000\r\n'));
    feed(after as Reader, Buffer.from('-NOPERM no time\r\n'));
    expect([...deadlines.byKey]).toEqual([nowMs + 1050]);
    expect(deadlines.areSure).toBe(true);
    askDeadlines(source, keysOf('a'));
    expect(source.readers).toHaveLength(4);
    expect(source.sent().match(/TIME/g)).toHaveLength(2);
  });

  it('as late as a server knows stay within what a node takes', () => {
    const [deadline = 0] = ask(':9223372036854775807\r\n', 'a').deadlines;
    expect(deadline).toBeGreaterThan(9e18);
    // By a clock that is a week ahead, and as the digits that are sent.
    expect(BigInt(deadline + 7 * 86_400_000)).toBeLessThan(2n ** 63n);
    expect(String(deadline)).toMatch(/^\d+$/);
  });

  it.each(['+OK\r\n', '$1\r\n5\r\n', ':-3\r\n', ':1.5\r\n', ':\r\n', '-NOPERM no\r\n'])(
    'are not made from %j',
    (answer) => {
      const { ending, deadlines } = ask(answer, 'a');
      expect([ending, deadlines]).toEqual(['refused', [0]]);
    },
  );
});
