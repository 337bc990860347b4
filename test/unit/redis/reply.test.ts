import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BulksReader, ErrorReply, type Reply, ReplyReader } from '../../../src/redis/reply.js';
import { feed, recordingSink } from '../../support/feed.js';

function read(text: string, limitBytes?: number) {
  const got: Reply[] = [];
  const lost: Error[] = [];
  const reader = new ReplyReader(
    (reply) => got.push(reply),
    (error) => lost.push(error),
    limitBytes,
  );
  const fed = feed(reader, Buffer.from(text, 'latin1'));
  return { ...fed, reply: got[0], replies: got.length, lost };
}

function encode(reply: Reply): string {
  if (reply === null) return '$-1\r\n';
  if (typeof reply === 'number') return `:${String(reply)}\r\n`;
  if (typeof reply === 'string') return `+${reply}\r\n`;
  if (reply instanceof ErrorReply) return `-${reply.text}\r\n`;
  if (Array.isArray(reply)) return `*${String(reply.length)}\r\n${reply.map(encode).join('')}`;
  return `$${String(reply.length)}\r\n${reply.toString('latin1')}\r\n`;
}

const line = fc.string({ maxLength: 20 }).filter((text) => !/[\r\n]/.test(text));
const { any } = fc.letrec<{ any: Reply }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 6 },
    fc.constant(null),
    fc.maxSafeInteger().map((value) => (value === 0 ? 0 : value)),
    line,
    line.map((text) => new ErrorReply(text)),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie('any'), { maxLength: 4 }),
  ),
}));

describe('a whole reply', () => {
  it('is read as what the server meant', () => {
    fc.assert(
      fc.property(any, (reply) => {
        const got = read(encode(reply));
        expect(got).toMatchObject({ ending: 'done', taken: encode(reply).length, replies: 1 });
        expect(got.reply).toEqual(reply);
      }),
    );
  });

  it('leaves what follows it to others', () => {
    expect(read('+OK\r\n+next\r\n')).toMatchObject({ reply: 'OK', taken: 5 });
    expect(read('*-1\r\n+next\r\n')).toMatchObject({ reply: null, taken: 5 });
  });

  it('gives an error as a value, with its first word', () => {
    expect(read('-MOVED 1 a:1\r\n').reply).toMatchObject({ code: 'MOVED', text: 'MOVED 1 a:1' });
    expect(read('-\r\n').reply).toMatchObject({ code: '', text: '' });
  });

  it.each([
    ['a gigabyte that is only claimed', '$1073741824\r\n'],
    ['an array of a billion', '*1000000000\r\n'],
    ['gigabytes claimed bit by bit', '*3\r\n$600000\r\n' + 'x'.repeat(600_000) + '\r\n$600000\r\n'],
    ['more than may be', '$101\r\n', 100],
    ['nesting without end', '*1\r\n'.repeat(9)],
    ['a line without end', `+${'x'.repeat(70_000)}`],
    ['a line that is too long', `-${'x'.repeat(70_000)}\r\n`],
    ['a value longer than it said', '$3\r\nabcd\r\n'],
    ['a value shorter than it said', '$3\r\nab\r\n+OK\r\n'],
    ['a negative length', '$-2\r\n'],
    ['a negative array', '*-2\r\n'],
    ['another protocol', '%1\r\n+a\r\n+b\r\n'],
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\n'],
    ['a CR without its LF', '+OK\rX'],
  ])('is given up for %s', (_, text, limitBytes?: number) => {
    const { ending, replies, lost } = read(text, limitBytes);
    expect([ending, replies, lost.length]).toEqual(['refused', 0, 1]);
  });

  it('may come to the limit, and not beyond', () => {
    expect(
      read('*2\r\n$40\r\n' + 'x'.repeat(40) + '\r\n$44\r\n' + 'y'.repeat(44) + '\r\n', 100).ending,
    ).toBe('done');
    expect(read('*2\r\n$40\r\n' + 'x'.repeat(40) + '\r\n$45\r\n', 100).ending).toBe('refused');
  });
});

function readBulks(text: string, count?: number, shape?: 'array' | 'separate') {
  const { sink, events } = recordingSink();
  return { ...feed(new BulksReader(sink, count, shape), Buffer.from(text, 'latin1')), events };
}

describe('bulk strings', () => {
  it('are handed on as frames, as they came', () => {
    const text = '$3\r\na\r\n\r\n$-1\r\n-WRONGTYPE no\r\n$0\r\n\r\n';
    expect(readBulks(`${text}+next\r\n`, 4)).toEqual({
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
    expect(readBulks('*2\r\n$1\r\na\r\n$-1\r\n', 2, 'array').events).toEqual(two);
    expect(readBulks('*2\r\n$1\r\na\r\n$-1\r\n').events).toEqual(two);
    expect(readBulks('*0\r\n').events).toEqual(['end']);
    expect(readBulks('-NOPERM no\r\n', 2, 'array').events).toEqual(['refused NOPERM no', 'end']);
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
    const { ending, events } = readBulks(text, count, shape);
    expect(ending).toBe('refused');
    expect(events).not.toContain('shut');
    expect(events).not.toContain('end');
  });

  it('cost no memory for what is only claimed, and pass on what has come', () => {
    const claim = '$3221225472\r\nabc';
    expect(readBulks(claim, 1)).toMatchObject({
      ending: 'waiting',
      taken: claim.length,
      events: ['open 3221225472', claim],
    });
  });
});
