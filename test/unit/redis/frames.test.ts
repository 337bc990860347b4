import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/errors.js';
import {
  command,
  commandHead,
  frame,
  headerEnd,
  headerLength,
  headerNumber,
} from '../../../src/redis/frames.js';

const read = (header: string, as = headerNumber): number => {
  const bytes = Buffer.from(header, 'latin1');
  return as(bytes, 0, headerEnd(bytes, 0, bytes.length));
};

it('puts commands together byte by byte', () => {
  const key = Buffer.from([0, 255, 13, 10]);
  expect(command('SET', key, 1).toString('latin1')).toBe(
    '*3\r\n$3\r\nSET\r\n$4\r\n\u0000ÿ\r\n\r\n$1\r\n1\r\n',
  );
  expect(commandHead(2, 'MGET').toString()).toBe('*3\r\n$4\r\nMGET\r\n');
  expect(commandHead(10, 'A', 'b').toString()).toBe('*12\r\n$1\r\nA\r\n$1\r\nb\r\n');
  expect(frame(Buffer.alloc(0)).toString()).toBe('$0\r\n\r\n');
  expect(command('SET', 'ключ').toString()).toBe('*2\r\n$3\r\nSET\r\n$8\r\nключ\r\n');
});

describe('a header', () => {
  it('is read as the integer that a server wrote', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(read(`:${String(value)}\r\n`)).toBe(value === 0 ? 0 : value);
      }),
    );
    expect(read(':9223372036854775807\r\n')).toBeCloseTo(2 ** 63, -4);
  });

  it.each([
    '',
    '-',
    '+1',
    '00',
    '-0',
    '007',
    '1e3',
    '0x1',
    ' 1',
    '1 ',
    'NaN',
    '1-',
    '9'.repeat(20),
  ])('with %j for a number is refused', (number) => {
    expect(() => read(`$${number}\r\n`)).toThrow(ProtocolError);
  });

  it.each(['-2', '-9223372036854775808', '9007199254740993', '9223372036854775807'])(
    'with the length %s is refused',
    (length) => {
      expect(() => read(`$${length}\r\n`, headerLength)).toThrow('a reply length out of range');
    },
  );

  it('is waited for until its LF is there, and no longer than a number can be', () => {
    const bytes = Buffer.from('$1234567890\r\n');
    for (let end = 1; end < bytes.length; end++) expect(headerEnd(bytes, 0, end)).toBe(-1);
    expect(headerEnd(bytes, 0, bytes.length)).toBe(11);
    expect(() => headerEnd(Buffer.alloc(33, '1'), 0, 33)).toThrow('a reply header without an end');
    expect(() => headerEnd(Buffer.from('$12\r3\r\n'), 0, 7)).toThrow(ProtocolError);
  });
});
