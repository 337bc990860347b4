/** What only one product writes into RDB files: Valkey, Redis Enterprise, Redis of later versions. */
import { describe, expect, it } from 'vitest';
import { fileVersionOf, writtenBy } from '../../../../src/sources/rdb/file-version.js';
import { type Found, readAll } from '../../../support/rdb.js';
import { rdbFile, rdbLength, type Record, sumOf } from '../../../support/rdb-file.js';

const string = (text: string): Buffer => Buffer.concat([rdbLength(text.length), Buffer.from(text)]);
const deadline = (ms: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(ms);
  return bytes;
};

const usual: Record = { type: 0, key: 'usual', value: ['text'] };
/** A hash of Valkey: each field and value with a deadline, or without one. */
const withDeadlines: Record = {
  type: 22,
  key: 'fields',
  value: [rdbLength(2), 'a', '1', deadline(4_000_000_000_000n), 'b', '2', deadline(-1n)],
};

/** The same file under another magic, with these bytes behind the selection of its database. */
function under(magic: string, records: readonly Record[], ahead: readonly Buffer[] = []): Buffer {
  const plain = rdbFile(12, records);
  const start = 9 + 2;
  const whole = Buffer.concat([
    Buffer.from(magic),
    plain.subarray(9, start),
    ...ahead,
    plain.subarray(start, -8),
  ]);
  return Buffer.concat([whole, sumOf(whole)]);
}

/** The same whatever pieces it comes in. */
async function read(file: Buffer): Promise<Found> {
  const found = await readAll(file);
  for (const pieceBytes of [1, 2, 7, 30]) {
    const inPieces = await readAll(file, pieceBytes);
    expect([inPieces.values, [...new Set(inPieces.skipped)]]).toEqual([
      found.values,
      [...new Set(found.skipped)],
    ]);
  }
  return found;
}

describe('dumps of Valkey', () => {
  it('may have hashes whose fields have deadlines', async () => {
    const { values } = await read(under('VALKEY080', [withDeadlines, usual]));
    expect([...values.keys()]).toEqual(['0 fields', '0 usual']);
    expect(values.get('0 fields')?.[0]).toBe(22);
    expect(values.get('0 fields')).toHaveLength(1 + 1 + 2 * (2 + 2 + 8));
  });

  it('may tell of slots that were coming in, which is left out', async () => {
    const [from, to] = [rdbLength(5), rdbLength(900)];
    const note = [Buffer.from([243]), string('a'.repeat(40)), rdbLength(2), from, to, from, from];
    const slot = [Buffer.from([244]), rdbLength(5), rdbLength(1), rdbLength(0)];
    const { values, skipped } = await read(under('VALKEY080', [usual], [...note, ...slot]));
    expect([...values.keys()]).toEqual(['0 usual']);
    expect(new Set(skipped)).toEqual(new Set(['a note of slots that were coming in']));
  });

  it('are read when they are newer, up to what is not known', async () => {
    expect((await read(under('VALKEY081', [withDeadlines]))).values.size).toBe(1);
    await expect(
      readAll(under('VALKEY081', [usual, { type: 23, key: 'paths', value: [] }])),
    ).rejects.toThrow(
      /^a\.rdb \(RDB version 81 of Valkey\) has something of type 23 at byte \d+, which is not known here: start a server on it, and give that in --from\.$/,
    );
    await expect(
      readAll(under('VALKEY080', [{ type: 23, key: 'paths', value: [] }])),
    ).rejects.toThrow('is damaged');
  });
});

describe('dumps of Redis', () => {
  it('mean another thing by the same type', async () => {
    // Ahead of each field: its deadline.
    const ofCandidates = { ...withDeadlines, value: [rdbLength(1), rdbLength(0), 'a', '1'] };
    expect((await read(under('REDIS0012', [ofCandidates, usual]))).values.size).toBe(2);
  });

  it('may have metadata of modules ahead of keys, which are left out', async () => {
    const classes = [Buffer.from([243]), rdbLength(2)];
    for (const bytes of [
      [2, 7, 0],
      [5, 2, 104, 105, 0],
    ]) {
      classes.push(Buffer.from('mod1'), Buffer.from(bytes));
    }
    const { values, skipped } = await read(under('REDIS0013', [usual], classes));
    expect([...values.keys()]).toEqual(['0 usual']);
    expect(new Set(skipped)).toEqual(new Set(['metadata of modules that belongs to keys']));
  });

  it('of Enterprise say how lately a key was used, and of which slot it is', async () => {
    const notes = [Buffer.from([121]), rdbLength(900), Buffer.from([107]), rdbLength(70_000)];
    const { values } = await read(under('REDIS0011', [usual], notes));
    expect([...values.keys()]).toEqual(['0 usual']);
    await expect(readAll(under('REDIS0011', [usual], [Buffer.from([101, 1])]))).rejects.toThrow(
      /\(Redis Enterprise\) has something of type 101 at byte 11, which is not known/,
    );
    await expect(readAll(under('VALKEY080', [usual], notes))).rejects.toThrow('is damaged');
  });

  it('name who wrote them where something is not known', async () => {
    const aux = [Buffer.from([250]), string('redis-ver'), string('8.6.0')];
    const file = under('REDIS0013', [usual, { type: 26, key: 'stream', value: [] }], aux);
    await expect(readAll(file)).rejects.toThrow(
      'a.rdb (RDB version 13 of Redis, written by Redis 8.6.0) has something of type 26',
    );
  });
});

describe('a version', () => {
  it.each([
    ['REDIS0001', { number: 1, product: 'Redis', isNewer: false }],
    ['REDIS0012', { number: 12, product: 'Redis', isNewer: false }],
    ['REDIS0013', { number: 13, product: 'Redis', isNewer: true }],
    ['VALKEY080', { number: 80, product: 'Valkey', isNewer: false }],
    ['VALKEY081', { number: 81, product: 'Valkey', isNewer: true }],
    ['REDIS0000', undefined],
    ['REDIS0080', undefined],
    ['VALKEY012', undefined],
    ['REDIS00', undefined],
  ])('stands in %j', (head, version) => {
    expect(fileVersionOf(head)).toEqual(version);
  });

  it('of the server stands behind it', () => {
    expect(writtenBy('VALKEY080\xfa\x0avalkey-ver\x059.1.2\xfa')).toBe(', written by Valkey 9.1.2');
    expect(writtenBy('REDIS0012\xfa\x09redis-ver\x058.0.6\xfa')).toBe(', written by Redis 8.0.6');
    expect(writtenBy('REDIS0012\xfa')).toBe('');
  });
});
