import { describe, expect, it } from 'vitest';
import { BulksReader } from '../../../src/redis/bulks.js';
import { feed } from '../../support/feed.js';
import { recordingSink } from '../../support/recording-sink.js';

function read(text: string, count?: number, shape?: 'array' | 'separate') {
  const { sink, events } = recordingSink();
  return { ...feed(new BulksReader(sink, count, shape), Buffer.from(text, 'latin1')), events };
}

describe('bulk strings', () => {
  it('are handed on as frames, as they came', () => {
    const text = '$3\r\na\r\n\r\n$-1\r\n-WRONGTYPE no\r\n$0\r\n\r\n';
    expect(read(`${text}+next\r\n`, 4)).toEqual({
      ending: 'done',
      taken: text.length,
      events: [
        ...['open 3', '$3\r\na\r\n\r\n', 'shut', 'nil', 'refused WRONGTYPE no'],
        ...['open 0', '$0\r\n\r\n', 'shut', 'end'],
      ],
    });
  });

  it('come as an array of the length asked for, or of any where only the server knows', () => {
    const two = ['open 1', '$1\r\na\r\n', 'shut', 'nil', 'end'];
    expect(read('*2\r\n$1\r\na\r\n$-1\r\n', 2, 'array').events).toEqual(two);
    expect(read('*2\r\n$1\r\na\r\n$-1\r\n').events).toEqual(two);
    expect(read('*0\r\n').events).toEqual(['end']);
    expect(read('-NOPERM no\r\n', 2, 'array').events).toEqual(['refused NOPERM no', 'end']);
  });

  it.each([
    ['another number of them', '*3\r\n$1\r\n', 2, 'array'],
    ['none where some were asked for', '*0\r\n', 2, 'array'],
    ['an array where none is due', '*1\r\n$1\r\na\r\n', 1, 'separate'],
    ['no array where one is due', '$1\r\na\r\n', 1, 'array'],
    ['an integer', ':1\r\n', 1, 'separate'],
    ['a status', '+OK\r\n', 1, 'separate'],
    ['a length below nil', '$-2\r\n', 1, 'separate'],
    ['a longer value than was said', '$1\r\nab\r\n', 1, 'separate'],
    ['a shorter value than was said', '$3\r\na\r\n$1\r\n', 1, 'separate'],
    ['an error line without end', `-${'x'.repeat(70_000)}`, 1, 'separate'],
  ] as const)('are given up for %s', (_, text, count, shape) => {
    const { ending, events } = read(text, count, shape);
    expect(ending).toBe('refused');
    expect(events).not.toContain('shut');
    expect(events).not.toContain('end');
  });

  it('cost no memory for what is only claimed, and pass on what has come', () => {
    const claim = '$3221225472\r\nabc';
    expect(read(claim, 1)).toMatchObject({
      ending: 'waiting',
      taken: claim.length,
      events: ['open 3221225472', claim],
    });
  });
});
