/** Writes RDB files by hand: of versions and with encodings that no server writes any more. */
import { Crc64 } from '../../src/redis/crc64.js';

const bytes = (...all: number[]): Buffer => Buffer.from(all);

/** Lengths below 64, or in five bytes. */
export function rdbLength(value: number): Buffer {
  if (value < 64) return bytes(value);
  const long = Buffer.alloc(5, 0x80);
  long.writeUInt32BE(value, 1);
  return long;
}

function rdbString(text: string | Buffer): Buffer {
  const all = Buffer.from(text as string);
  return Buffer.concat([rdbLength(all.length), all]);
}

/** A number as strings write it when it fits into 8 bits. */
const rdbInteger = (value: number): Buffer => bytes(0xc0, value & 255);

/** LZF without any copies: runs of up to 32 bytes. */
function rdbCompressed(text: string): Buffer {
  const all = Buffer.from(text);
  const runs: Buffer[] = [];
  for (let at = 0; at < all.length; at += 32) {
    const run = all.subarray(at, at + 32);
    runs.push(bytes(run.length - 1), run);
  }
  const packed = Buffer.concat(runs);
  return Buffer.concat([bytes(0xc3), rdbLength(packed.length), rdbLength(all.length), packed]);
}

export interface Record {
  readonly type: number;
  readonly key: string | Buffer;
  readonly value: readonly (Buffer | string)[];
  /** Its deadline as it stands in the file: in seconds (32 bits) or milliseconds (64 bits). */
  readonly seconds?: number;
  readonly ms?: number;
  /** What else stands ahead of it. */
  readonly notes?: Buffer;
}

function recordBytes({ type, key, value, seconds, ms, notes }: Record): Buffer {
  const ahead: Buffer[] = notes ? [notes] : [];
  if (seconds !== undefined) {
    const deadline = Buffer.alloc(5, 253);
    deadline.writeInt32LE(seconds, 1);
    ahead.push(deadline);
  }
  if (ms !== undefined) {
    const deadline = Buffer.alloc(9, 252);
    deadline.writeBigInt64LE(BigInt(ms), 1);
    ahead.push(deadline);
  }
  const parts = value.map((part) => (typeof part === 'string' ? rdbString(part) : part));
  const name = typeof key === 'string' ? rdbString(key) : key;
  return Buffer.concat([...ahead, bytes(type), name, ...parts]);
}

/** A whole file: of database 0, with a checksum where the version has one. */
export function rdbFile(version: number, records: readonly Record[]): Buffer {
  const head = Buffer.from(`REDIS${String(version).padStart(4, '0')}`);
  const whole = Buffer.concat([head, bytes(254, 0), ...records.map(recordBytes), bytes(255)]);
  return version < 5 ? whole : Buffer.concat([whole, sumOf(whole)]);
}

export function sumOf(all: Buffer): Buffer {
  const sum = new Crc64();
  sum.update(all, 0, all.length);
  const written = Buffer.alloc(8);
  sum.write(written, 0);
  return written;
}

/** Every type that servers before 3.2 wrote, under a name that tells what it is. */
export function oldRecords(nowMs: number): readonly Record[] {
  const later = Math.floor(nowMs / 1000) + 100_000;
  const entry = (before: number, text: string): Buffer =>
    Buffer.concat([bytes(before, text.length), Buffer.from(text)]);
  /** Entries of fewer than 64 bytes. */
  const ziplist = (...texts: string[]): Buffer => {
    const entries = texts.map((text, at) =>
      entry(at === 0 ? 0 : (texts[at - 1] as string).length + 2, text),
    );
    const body = Buffer.concat(entries);
    const head = Buffer.alloc(10);
    head.writeUInt32LE(10 + body.length + 1, 0);
    head.writeUInt32LE(10 + body.length - (entries.at(-1)?.length ?? 0), 4);
    head.writeUInt16LE(texts.length, 8);
    return Buffer.concat([head, body, bytes(255)]);
  };
  const zipmap = Buffer.concat([
    bytes(1, 1),
    Buffer.from('f'),
    bytes(2, 0),
    Buffer.from('vv'),
    bytes(255),
  ]);
  const intset = Buffer.alloc(12);
  intset.writeUInt32LE(2, 0);
  intset.writeUInt32LE(2, 4);
  intset.writeInt16LE(-5, 8);
  intset.writeInt16LE(300, 10);
  const double = (text: string): Buffer => Buffer.concat([bytes(text.length), Buffer.from(text)]);
  return [
    { type: 0, key: 'string', value: ['text'], seconds: later },
    { type: 0, key: rdbInteger(-7), value: [rdbInteger(12)] },
    { type: 0, key: 'compressed', value: [rdbCompressed('ab'.repeat(40))], ms: nowMs + 1e8 },
    { type: 0, key: 'expired:seconds', value: ['x'], seconds: 1 },
    { type: 0, key: 'expired:zero', value: ['x'], ms: 0 },
    { type: 0, key: 'expired:negative', value: ['x'], ms: -5 },
    { type: 1, key: 'list', value: [rdbLength(2), 'a', rdbInteger(5)] },
    { type: 2, key: 'set', value: [rdbLength(2), 'a', 'b'] },
    { type: 3, key: 'zset', value: [rdbLength(2), 'a', double('1.5'), 'b', bytes(254)] },
    { type: 4, key: 'hash', value: [rdbLength(1), 'f', 'v'] },
    { type: 9, key: 'zipmap', value: [rdbString(zipmap)] },
    { type: 10, key: 'ziplist', value: [rdbString(ziplist('a', 'bcd'))] },
    { type: 11, key: 'intset', value: [rdbString(intset)] },
    { type: 12, key: 'zset:ziplist', value: [rdbString(ziplist('m', '1', 'n', '2.5'))] },
    { type: 13, key: 'hash:ziplist', value: [rdbString(ziplist('f', 'v'))] },
  ];
}
