import { describe, expect, it } from 'vitest';
import { listingRecord, unmovedKeys } from '../../../src/engine/seen-keys.js';
import { keysOf } from '../../support/keys.js';

/** Writes the nth key of some naming scheme into the buffer. @returns where it ends. */
type Scheme = (nth: number, bytes: Buffer) => number;

const schemes: readonly (readonly [string, Scheme])[] = [
  [
    'key:000000000123',
    (nth, bytes) => bytes.write(`key:${String(nth).padStart(12, '0')}`, 'latin1'),
  ],
  ['user:123:session', (nth, bytes) => bytes.write(`user:${String(nth)}:session`, 'latin1')],
  ['eight bytes, counted', (nth, bytes) => bytes.writeUIntLE(nth, 0, 6) + 2],
  [
    'alike, but for the first bytes',
    (nth, bytes) =>
      bytes.writeUInt32LE(nth) + bytes.write('{tag}:a-tail-that-all-share', 4, 'latin1'),
  ],
];

/** The share of new keys that are taken for known ones at the end of so many. */
function wrongShare(scheme: Scheme, keyCount: number): number {
  const record = listingRecord(keyCount);
  const bytes = Buffer.alloc(64);
  for (let nth = 0; nth < keyCount; nth++) record.noted(bytes, 0, scheme(nth, bytes));
  let wrong = 0;
  const probes = 100_000;
  for (let nth = keyCount; nth < keyCount + probes; nth++) {
    if (record.noted(bytes, 0, scheme(nth, bytes))) wrong++;
  }
  return wrong / probes;
}

describe('the record of listed keys', () => {
  it('never takes a noted key for a new one', () => {
    const record = listingRecord(1 << 10);
    const bytes = Buffer.alloc(64);
    const [, scheme] = schemes[1] as (typeof schemes)[number];
    for (let nth = 0; nth < 50_000; nth++) record.noted(bytes, 0, scheme(nth, bytes));
    for (let nth = 0; nth < 50_000; nth++) {
      if (!record.noted(bytes, 0, scheme(nth, bytes))) throw new Error(`${String(nth)} was lost`);
    }
  });

  it('says of a page what it says of each of its keys', () => {
    const [record, one] = [listingRecord(1 << 10), listingRecord(1 << 10)];
    const names = (from: number, count: number): readonly string[] =>
      Array.from({ length: count }, (_, nth) => `key:${String(from + nth)}`);
    const pages = [names(0, 3000), [...names(10, 5), ...names(9000, 5), ...names(9000, 5)]];
    const said = pages.map((page) => {
      record.fetch(keysOf(...page));
      return page.map((name, place) => [
        record.notedAt(place),
        one.noted(Buffer.from(name), 0, name.length),
      ]);
    });
    expect(said.flat().filter(([atPlace, alone]) => atPlace !== alone)).toEqual([]);
    expect(said[1]?.map(([atPlace]) => atPlace)).toEqual([
      ...Array<boolean>(5).fill(true),
      ...Array<boolean>(5).fill(false),
      ...Array<boolean>(5).fill(true),
    ]);
    // Whatever is asked for by itself meanwhile.
    record.fetch(keysOf(...names(20_000, 2)));
    record.has(Buffer.from('key:0'), 0, 5);
    expect(record.notedAt(0)).toBe(false);
  });

  it.each(schemes)('takes none for another where it is sparse: %s', (_, scheme) => {
    const record = listingRecord(200_000, 'sparse');
    const bytes = Buffer.alloc(64);
    let wrong = 0;
    for (let nth = 0; nth < 200_000; nth++) if (record.noted(bytes, 0, scheme(nth, bytes))) wrong++;
    expect(wrong).toBe(0);
  });

  it.each([
    ['a smaller', 1000, 10_000_000],
    ['a larger', 10_000_000, 1000],
    ['an equal', 1000, 1000],
  ])('recalls what %s one has noted', (_, theirs, ours) => {
    const [earlier, record] = [listingRecord(theirs), listingRecord(ours)];
    const bytes = Buffer.alloc(64);
    const [, scheme] = schemes[0] as (typeof schemes)[number];
    for (let nth = 0; nth < 5000; nth++) earlier.noted(bytes, 0, scheme(nth, bytes));
    record.recall(earlier.bytes);
    for (let nth = 0; nth < 5000; nth++) {
      if (!record.noted(bytes, 0, scheme(nth, bytes))) throw new Error(`${String(nth)} was lost`);
    }
    let wrong = 0;
    for (let nth = 5000; nth < 6000; nth++) {
      if (record.noted(bytes, 0, scheme(nth, bytes))) wrong++;
    }
    expect(wrong).toBeLessThan(20);
  });

  it('reads keys where they stand, and tells those of other lengths apart', () => {
    const record = listingRecord(10);
    const bytes = Buffer.from('xkeyx');
    expect(record.noted(bytes, 1, 4)).toBe(false);
    expect(record.noted(Buffer.from('key'), 0, 3)).toBe(true);
    expect(record.noted(bytes, 1, 3)).toBe(false);
    expect(record.noted(bytes, 0, 0)).toBe(false);
    expect(record.noted(Buffer.alloc(2), 0, 1)).toBe(false);
    expect(record.noted(Buffer.alloc(2), 0, 2)).toBe(false);
  });

  it.each(schemes)(
    'takes fewer than 1 in 1,000 new keys for known ones at a million: %s',
    (_, scheme) => {
      expect(wrongShare(scheme, 1_000_000)).toBeLessThan(0.001);
    },
    60_000,
  );

  it('takes fewer than 5 in 1,000 for known ones at five million', () => {
    const [, scheme] = schemes[2] as (typeof schemes)[number];
    expect(wrongShare(scheme, 5_000_000)).toBeLessThan(0.005);
  }, 60_000);
});

describe('unmoved keys', () => {
  const has = (unmoved: ReturnType<typeof unmovedKeys>, key: Buffer): boolean =>
    unmoved.has(Buffer.concat([Buffer.from('x'), key, Buffer.from('x')]), 1, key.length + 1);

  it('are known again, byte for byte', () => {
    const unmoved = unmovedKeys();
    expect(has(unmoved, Buffer.from('a'))).toBe(false);
    for (const key of ['', 'ÿ\u0000', 'a']) unmoved.add(Buffer.from(key, 'latin1'));
    expect(has(unmoved, Buffer.from([255, 0]))).toBe(true);
    expect(has(unmoved, Buffer.from([254, 0]))).toBe(false);
    expect(has(unmoved, Buffer.alloc(0))).toBe(true);
  });

  it('are told from others though too many to be kept as they are, up to a limit', () => {
    const unmoved = unmovedKeys({ exact: 10, hashed: 2000 });
    const keyOf = (nth: number): Buffer => Buffer.from(`key:${String(nth)}`);
    for (let nth = 0; nth < 2010; nth++) {
      expect(unmoved.isFull).toBe(false);
      unmoved.add(keyOf(nth));
    }
    expect(unmoved.isFull).toBe(true);
    const known = Array.from({ length: 4020 }, (_, nth) => has(unmoved, keyOf(nth)));
    expect(known).toEqual(known.map((__, nth) => nth < 2010));
  });
});
