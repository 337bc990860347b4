import { describe, expect, it } from 'vitest';
import { keyAt } from '../../../src/redis/frames.js';
import type { Reader } from '../../../src/redis/reply.js';
import { type Page, PageReader, scanPosition, scanSource } from '../../../src/sources/scan.js';
import { feed } from '../../support/feed.js';

function read(text: string) {
  const pages: Page[] = [];
  const errors: Error[] = [];
  const reader = new PageReader(
    'mock:1/0',
    10,
    (page) => pages.push(page),
    (error) => errors.push(error),
  );
  return { ...feed(reader, Buffer.from(text, 'latin1')), page: pages[0], errors };
}

describe('a page of a scan', () => {
  it('holds its cursor as text and its keys as they came', () => {
    const { page, ending } = read(
      '*2\r\n$20\r\n18446744073709551615\r\n*3\r\n$0\r\n\r\n$2\r\n\r\n\r\n$3\r\n\u0000ÿ{\r\n',
    );
    expect(ending).toBe('done');
    expect(page?.cursor).toBe('18446744073709551615');
    const keys = Array.from({ length: 3 }, (_, place) => page && keyAt(page.keys, place));
    expect(keys).toEqual([Buffer.alloc(0), Buffer.from('\r\n'), Buffer.from([0, 255, 123])]);
  });

  it('may be empty', () => {
    expect(read('*2\r\n$1\r\n0\r\n*0\r\n').page).toMatchObject({ cursor: '0', keys: { count: 0 } });
  });

  it('names the source that refuses it', () => {
    const { errors, ending } = read('-NOPERM no permissions to run SCAN\r\n');
    expect(ending).toBe('done');
    expect(errors[0]?.message).toBe('mock:1/0 refused SCAN: NOPERM no permissions to run SCAN');
  });

  it.each([
    ['a cursor of letters', '*2\r\n$3\r\nabc\r\n*0\r\n'],
    ['an empty cursor', '*2\r\n$0\r\n\r\n*0\r\n'],
    ['a nil cursor', '*2\r\n$-1\r\n*0\r\n'],
    ['a cursor that leads backwards', '*2\r\n$-9\r\n*0\r\n'],
    ['a cursor beyond 64 bits', `*2\r\n$21\r\n${'1'.repeat(21)}\r\n*0\r\n`],
    ['a cursor that goes on', '*2\r\n$1\r\n12\r\n*0\r\n'],
    ['a negative cursor', '*2\r\n$2\r\n-1\r\n*0\r\n'],
    ['a cursor that is an integer', '*2\r\n:10\r\n*0\r\n'],
    ['three parts', '*3\r\n$1\r\n0\r\n*0\r\n*0\r\n'],
    ['keys that are none', '*2\r\n$1\r\n0\r\n*1\r\n$-1\r\n'],
    ['a key of a gigabyte', '*2\r\n$1\r\n0\r\n*1\r\n$1073741824\r\n'],
    ['a status', '+OK\r\n'],
    ['a number', ':5\r\n'],
  ])('is given up for %s', (_, text) => {
    const { ending, page, errors } = read(text);
    expect([ending, page, errors.length]).toEqual(['refused', undefined, 1]);
  });

  it('of keys without end is given up before it fills the memory', () => {
    const key = `$200000\r\n${'k'.repeat(200_000)}\r\n`;
    const { ending, taken } = read('*2\r\n$1\r\n0\r\n*1000000\r\n' + key.repeat(400));
    expect(ending).toBe('refused');
    expect(taken).toBeLessThan(70 * 1024 * 1024);
  });
});

describe('the position of a scan', () => {
  it.each([
    ['0', 0],
    ['1', 0.5],
    ['2', 0.25],
    ['3', 0.75],
    ['18446744073709551615', 1 - 2 ** -32],
    ['9223372036854775808', 0],
  ])('at the cursor %s is %d', (cursor, share) => {
    expect(scanPosition(cursor)).toBe(share);
  });

  it('rises all through a table, in the order in which SCAN visits it', () => {
    const reversed = (bucket: number): number =>
      Number.parseInt(bucket.toString(2).padStart(10, '0').split('').reverse().join(''), 2);
    const positions = Array.from({ length: 1024 }, (_, nth) => scanPosition(String(reversed(nth))));
    expect(positions).toEqual(positions.toSorted((a, b) => a - b));
    expect(new Set(positions).size).toBe(1024);
  });
});

describe('a scan that goes on where an earlier one had come to', () => {
  const lastPage = Buffer.from('*2\r\n$1\r\n0\r\n*1\r\n$3\r\nkey\r\n');
  /** Answers each SCAN with the last page. */
  const connection = {
    lost: undefined,
    out: { append: () => undefined },
    expect: (reader: Reader) => reader.take(lastPage, 0, lastPage.length),
  };
  const health = { accepted: () => undefined } as never;
  const scanOf = (identity: string) =>
    scanSource({ open: () => Promise.resolve({ identity, connection }) } as never, health, {
      name: 'mock:1/0',
      estimatedKeys: 1000,
      pageKeys: () => 10,
      // Its bits reversed: three quarters of the table.
      startAt: { cursor: '3', server: 'the same' },
    });

  it('counts what that had done as done, and expects the rest', async () => {
    const scan = scanOf('the same');
    expect([scan.earlierShare, scan.expectedKeys]).toEqual([0.75, 250]);
    for await (const keys of scan.pages()) expect(keys.count).toBe(1);
    expect([scan.earlierShare, scan.progress]).toEqual([0.75, 1]);
  });

  it('begins anew at another server', async () => {
    const scan = scanOf('restarted');
    for await (const keys of scan.pages()) expect(keys.count).toBe(1);
    expect([scan.earlierShare, scan.expectedKeys]).toEqual([0, 1000]);
  });
});
