import { describe, expect, it } from 'vitest';
import {
  asPayload,
  type HeldElements,
  PlainPayloadsReader,
  type Shape,
} from '../../../../src/movers/elements/plain-payloads.js';
import { frame } from '../../../../src/redis/frames.js';
import { Crc64 } from '../../../../src/redis/crc64.js';
import { feed } from '../../../support/feed.js';

const everyCut = (text: string): number[][] => [
  [],
  ...Array.from({ length: text.length - 1 }, (_, at) => [at + 1]),
  Array.from({ length: text.length - 1 }, (_, at) => at + 1),
];

function read(text: string, shapes: readonly Shape[], borders: readonly number[] = []) {
  let answers: readonly HeldElements[] = [];
  const reader = new PlainPayloadsReader(
    shapes,
    (found) => (answers = found),
    () => undefined,
  );
  const { ending } = feed(reader, Buffer.from(text, 'latin1'), borders);
  return { reader, ending, answers };
}

function readPages(text: string, shapes: readonly Shape[], borders: readonly number[]) {
  const { ending, answers } = read(text, shapes, borders);
  const told = answers.map(({ bytes, from, end, count, isPartial }) => ({
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
          { text: '\x01a\x04\r\n\0\xff', count: 2, isPartial: false },
          { text: '\x08listpack', count: 1, isPartial: false },
          { text: '\0', count: 1, isPartial: false },
          { text: '\x02xy', count: 1, isPartial: true },
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
    const held = `\x80\0\x01\x86\xa0${'x'.repeat(100_000)}`;
    expect(told).toEqual([{ text: held + held, count: 2, isPartial: false }]);
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

describe('a payload of elements', () => {
  /** By which a server finds out whether it is whole. */
  const checksum = (bytes: Buffer): Buffer => {
    const sum = new Crc64();
    sum.update(bytes, 0, bytes.length);
    const written = Buffer.alloc(8);
    sum.write(written, 0);
    return written;
  };

  it('is made around them where they are, and touches no other', () => {
    const text = '*2\r\n$1\r\nf\r\n$2\r\nvw\r\n'.repeat(2) + '*1\r\n$0\r\n\r\n';
    const { answers } = read(text, ['array', 'array', 'array']);
    const types = ['hash', 'zset', 'list'] as const;
    const payloads = answers.map((answer, nth) =>
      asPayload(answer, types[nth] ?? 'set', nth === 2 ? 1 : answer.count / 2, 9),
    );
    const bodies = ['\x04\x01\x01f\x02vw', '\x03\x01\x01f\x02vw', '\x01\x01\0'];
    for (const [nth, { from, end, payloadBytes }] of payloads.entries()) {
      const bytes = answers[nth]?.bytes ?? Buffer.alloc(0);
      const ahead = Buffer.from(`${bodies[nth] ?? ''}\x09\0`, 'latin1');
      const whole = Buffer.concat([ahead, checksum(ahead)]);
      expect(payloadBytes).toBe(whole.length);
      expect(bytes.subarray(from, end)).toEqual(frame(whole));
    }
  });

  it('tells how many there are, and how long they are, at any size', () => {
    const long = `$70\r\n${'x'.repeat(70)}\r\n`;
    const longest = `$20000\r\n${'y'.repeat(20_000)}\r\n`;
    const { answers } = read(`*100\r\n${long.repeat(99)}${longest}`, ['array']);
    const [answer] = answers;
    if (!answer) throw new Error('nothing was read');
    const { from, end } = asPayload(answer, 'set', 100, 11);
    const payload = answer.bytes.subarray(from, end).toString('latin1');
    const body = `\x02\x40\x64${`\x40\x46${'x'.repeat(70)}`.repeat(99)}\x80\0\0\x4e\x20${'y'.repeat(20_000)}`;
    expect(payload.slice(payload.indexOf('\r\n') + 2, -12)).toBe(body);
  });

  it('may be made in memory that others have had', () => {
    const first = read('*1\r\n$3\r\nold\r\n', ['array']);
    first.reader.release();
    const second = read('*1\r\n$3\r\nnew\r\n', ['array']);
    expect(second.answers[0]?.bytes).toBe(first.answers[0]?.bytes);
    const { bytes, from, end } = second.answers[0] ?? { bytes: Buffer.alloc(0), from: 0, end: 0 };
    expect(bytes.toString('latin1', from, end)).toBe('\x03new');
  });
});
