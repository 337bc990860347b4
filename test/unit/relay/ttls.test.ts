import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { askDeadlines } from '../../../src/movers/relay/ttls.js';
import type { Reader } from '../../../src/redis/reader.js';
import { feed } from '../../fuzz/feed.js';
import { mockConnection } from '../../fuzz/mock-connection.js';
import { keysOf } from '../../fuzz/readers.js';

const nowMs = 1_700_000_000_000;

function ask(answer: string, ...keys: string[]) {
  const source = mockConnection();
  const deadlines = askDeadlines(source, keysOf(...keys));
  const { ending } = feed(source.readers[0] as Reader, Buffer.from(answer));
  return { deadlines: [...deadlines], ending, sent: source.sent() };
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
        .join(''),
    );
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
