import { describe, expect, it } from 'vitest';
import { nextId, swapPairs } from '../../../../src/movers/elements/copiers.js';
import {
  askPage,
  sliceBytes,
  sliceElements,
  SliceSize,
} from '../../../../src/movers/elements/reading.js';
import { keyAt } from '../../../../src/redis/frames.js';
import { NumbersReader } from '../../../../src/redis/ask.js';
import type { Reader } from '../../../../src/redis/reply.js';
import type { Keys } from '../../../../src/types.js';
import { feed } from '../../../support/feed.js';
import { mockConnection } from '../../../support/mock-connection.js';
import { keysOf } from '../../../support/keys.js';

const texts = (keys: Keys): string[] =>
  Array.from({ length: keys.count }, (_, index) => keyAt(keys, index).toString('latin1'));

describe('a page of elements', () => {
  const answer = '*2\r\n$2\r\n17\r\n*3\r\n$1\r\na\r\n$0\r\n\r\n$4\r\n\r\n\0\xff\r\n';

  it.each([[[]], [[1, 2, 3, 9, 15, 20, 33]], [Array.from({ length: 40 }, (_, at) => at + 1)]])(
    'is read whole, cut at %j',
    async (borders) => {
      const source = mockConnection();
      const page = askPage(source, 'SSCAN', 'key', '0', 'COUNT', 3);
      const bytes = Buffer.from(answer, 'latin1');
      const cuts = borders.filter((border) => border < bytes.length);
      expect(feed(source.readers[0] as Reader, bytes, cuts).ending).toBe('done');
      const { cursor, items } = await page;
      expect([cursor, ...texts(items)]).toEqual(['17', 'a', '', '\r\n\0\xff']);
    },
  );

  it.each(['*3\r\n', '$1\r\n', '*2\r\n$1\r\nx\r\n*0\r\n', '*2\r\n$-1\r\n', '*2\r\n*0\r\n'])(
    'is not made from %j',
    async (text) => {
      const source = mockConnection();
      const page = askPage(source, 'SSCAN', 'key', '0');
      const refused = expect(page).rejects.toThrow();
      expect(feed(source.readers[0] as Reader, Buffer.from(text)).ending).toBe('refused');
      await refused;
    },
  );

  it('may be refused', async () => {
    const source = mockConnection();
    const page = askPage(source, 'SSCAN', 'key', '0');
    const refused = expect(page).rejects.toMatchObject({ reply: 'WRONGTYPE no' });
    feed(source.readers[0] as Reader, Buffer.from('-WRONGTYPE no\r\n'));
    await refused;
  });
});

describe('numbers', () => {
  it('are read in order, with nothing as 0 and refusals as NaN', () => {
    const read: number[][] = [];
    const reader = new NumbersReader(
      4,
      (numbers) => read.push([...numbers]),
      () => undefined,
    );
    const text = ':5\r\n$-1\r\n-NOPERM no\r\n:9007199254740991\r\n';
    expect(feed(reader, Buffer.from(text), [1, 3, 5, 12, 30]).ending).toBe('done');
    expect(read).toEqual([[5, 0, NaN, 9007199254740991]]);
  });

  it.each(['$1\r\nx\r\n', '+OK\r\n', '*0\r\n'])('are not made from %j', (text) => {
    const reader = new NumbersReader(
      1,
      () => undefined,
      () => undefined,
    );
    expect(feed(reader, Buffer.from(text)).ending).toBe('refused');
  });
});

describe('the size of a slice', () => {
  it('grows step by step, up to a limit', () => {
    const slice = new SliceSize();
    const counts = Array.from({ length: 4 }, () => {
      slice.note(slice.count, slice.count * 10);
      return slice.count;
    });
    expect(counts).toEqual([128, sliceElements, sliceElements, sliceElements]);
  });

  it('falls at once to what heavy elements allow, and to one at the least', () => {
    const slice = new SliceSize();
    slice.note(16, sliceBytes * 4);
    expect(slice.count).toBe(4);
    slice.note(4, sliceBytes * 100);
    expect(slice.count).toBe(1);
  });
});

it('turns pairs round', () => {
  expect(texts(swapPairs(keysOf('one', '1.5', '', 'inf')))).toEqual(['1.5', 'one', 'inf', '']);
});

it('knows which id follows another', () => {
  expect(nextId('5-0')).toBe('5-1');
  expect(nextId('9007199254740993-18446744073709551615')).toBe('9007199254740994-0');
});
