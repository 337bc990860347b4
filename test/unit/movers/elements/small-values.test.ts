import { describe, expect, it } from 'vitest';
import {
  type HeldPage,
  HeldPagesReader,
  type Shape,
} from '../../../../src/movers/elements/held-pages.js';
import { TransactionsReader } from '../../../../src/movers/elements/small-values.js';
import { ErrorReply, type Reply } from '../../../../src/redis/reply.js';
import { feed } from '../../../support/feed.js';

const everyCut = (text: string): number[][] => [
  [],
  ...Array.from({ length: text.length - 1 }, (_, at) => [at + 1]),
  Array.from({ length: text.length - 1 }, (_, at) => at + 1),
];

function readPages(text: string, shapes: readonly Shape[], borders: readonly number[]) {
  let pages: readonly HeldPage[] = [];
  const reader = new HeldPagesReader(
    shapes,
    (found) => (pages = found),
    () => undefined,
  );
  const { ending } = feed(reader, Buffer.from(text, 'latin1'), borders);
  const told = pages.map(({ bytes, from, end, count, isPartial }) => ({
    text: bytes.toString('latin1', from, end),
    count,
    isPartial,
  }));
  return { ending, told };
}

describe('the answers to many questions about elements', () => {
  const shapes: readonly Shape[] = [
    'page',
    'one',
    'array',
    'page',
    'array',
    'one',
    'array',
    'page',
  ];
  const text = [
    '*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$4\r\n\r\n\0\xff\r\n',
    '$8\r\nlistpack\r\n',
    '*1\r\n$0\r\n\r\n',
    '*2\r\n$2\r\n17\r\n*1\r\n$2\r\nxy\r\n',
    '-WRONGTYPE no list\r\n',
    '$-1\r\n',
    '*0\r\n',
    '*2\r\n$1\r\n0\r\n*0\r\n',
  ].join('');

  it('are read whole, wherever the network cuts them', () => {
    for (const borders of everyCut(text)) {
      expect(readPages(text, shapes, borders)).toEqual({
        ending: 'done',
        told: [
          { text: '$1\r\na\r\n$4\r\n\r\n\0\xff\r\n', count: 2, isPartial: false },
          { text: '$8\r\nlistpack\r\n', count: 1, isPartial: false },
          { text: '$0\r\n\r\n', count: 1, isPartial: false },
          { text: '$2\r\nxy\r\n', count: 1, isPartial: true },
          { text: '', count: 0, isPartial: true },
          { text: '', count: 0, isPartial: false },
          { text: '', count: 0, isPartial: false },
          { text: '', count: 0, isPartial: false },
        ],
      });
    }
  });

  it('are held whatever they weigh', () => {
    const large = `$100000\r\n${'x'.repeat(100_000)}\r\n`;
    const { told } = readPages(`*2\r\n${large}${large}`, ['array'], [50_000, 100_013, 150_000]);
    expect(told).toEqual([{ text: large + large, count: 2, isPartial: false }]);
  });

  it.each<[Shape, string]>([
    ['page', '*3\r\n'],
    ['page', '$1\r\n'],
    ['page', '*2\r\n*0\r\n'],
    ['page', '*2\r\n$-1\r\n'],
    ['page', '*2\r\n$21\r\n'],
    ['page', '*2\r\n$1\r\n0\r\n$1\r\n'],
    ['array', '*1\r\n:1\r\n'],
    ['array', '*1\r\n$1\r\nabc'],
    ['one', '*1\r\n'],
  ])('are not made from %s %j', (shape, wrong) => {
    expect(readPages(wrong, [shape], []).ending).toBe('refused');
  });
});

describe('the answers to transactions', () => {
  const read = (text: string, commands: readonly number[], borders: readonly number[]) => {
    let replies: readonly Reply[] | undefined;
    const reader = new TransactionsReader(
      commands,
      (found) => (replies = found),
      () => undefined,
    );
    const { ending } = feed(reader, Buffer.from(text, 'latin1'), borders);
    return { ending, replies };
  };

  it('are what EXEC is answered, wherever the network cuts them', () => {
    const text = [
      '+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n$3\r\n\r\nx\r\n',
      '+OK\r\n-OOM no room\r\n-EXECABORT discarded\r\n',
      '+OK\r\n+QUEUED\r\n*-1\r\n',
      '+OK\r\n+QUEUED\r\n*1\r\n-ERR no such key\r\n',
    ].join('');
    for (const borders of everyCut(text)) {
      expect(read(text, [2, 1, 1, 1], borders)).toEqual({
        ending: 'done',
        replies: [
          [1, Buffer.from('\r\nx')],
          new ErrorReply('EXECABORT discarded'),
          null,
          [new ErrorReply('ERR no such key')],
        ],
      });
    }
  });

  it('are no other replies', () => {
    expect(read(':1\r\n', [1], []).ending).toBe('refused');
    expect(read('+OK\r\n$1\r\nx\r\n', [1], []).ending).toBe('refused');
  });
});
