/** Commands that change keys without a word are noticed by how often the source has carried them out. */
import { describe, expect, it } from 'vitest';
import { carriedOut, readCounts } from '../../../src/feed/push-feed.js';

const info = (lines: Record<string, number>): string =>
  [
    '# Commandstats',
    ...Object.entries(lines).map(
      ([name, calls]) => `cmdstat_${name}:calls=${String(calls)},usec=9,usec_per_call=1.00`,
    ),
  ].join('\r\n');

describe('counts of commands', () => {
  it('count all subcommands of a command together', () => {
    const counts = readCounts(info({ 'xgroup|create': 2, 'xgroup|destroy': 1, get: 7 }));
    expect([...counts]).toEqual([
      ['xgroup', 3],
      ['get', 7],
    ]);
  });

  it('tell which of some commands were carried out since', () => {
    const before = readCounts(info({ xack: 1, get: 7 }));
    const after = readCounts(info({ xack: 2, swapdb: 1, get: 9 }));
    expect(carriedOut(['xack', 'swapdb', 'xclaim'], before, after)).toEqual(['xack', 'swapdb']);
    expect(carriedOut(['xack'], after, after)).toEqual([]);
  });

  it('take all for carried out once the source counts anew', () => {
    const before = readCounts(info({ xack: 1, get: 7 }));
    expect(carriedOut(['xack', 'swapdb'], before, readCounts(info({ get: 1 })))).toEqual([
      'xack',
      'swapdb',
    ]);
  });
});
