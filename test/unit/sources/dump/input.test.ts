/** Where the bytes of dumps come from: packed or not, and what was read is not held. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import zlib, { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { type DumpInput, openInput } from '../../../../src/sources/dump/input.js';

const megabyte = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'cluster-import-input-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function contentsOf(input: DumpInput): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (;;) {
    const into = Buffer.alloc(100_000);
    const count = await input.read(into, 0);
    if (count === 0) return Buffer.concat(parts);
    parts.push(into.subarray(0, count));
  }
}

async function bytesOf(input: DumpInput): Promise<number> {
  const into = Buffer.alloc(megabyte);
  for (let sum = 0; ;) {
    const count = await input.read(into, 0);
    if (count === 0) return sum;
    sum += count;
  }
}

/** In blocks that are stored as they are, since not every Node can do better. */
function zstdStored(bytes: Buffer): Buffer {
  const most = 100_000;
  const parts: Uint8Array[] = [Buffer.from('28b52ffd0058', 'hex')];
  for (let at = 0; at < bytes.length; at += most) {
    const block = bytes.subarray(at, at + most);
    const head = Buffer.alloc(3);
    head.writeUIntLE((at + most >= bytes.length ? 1 : 0) | (block.length << 3), 0, 3);
    parts.push(head, block);
  }
  return Buffer.concat(parts);
}

/** As Node packs it, from 22.15 on. */
function zstd(bytes: Buffer): Buffer {
  const { zstdCompressSync } = zlib as unknown as { zstdCompressSync?: (all: Buffer) => Buffer };
  return (zstdCompressSync ?? zstdStored)(bytes);
}

/** One block that says "so many zeros". */
function zstdBomb(blocks: number): Buffer {
  const block = Buffer.alloc(4);
  block.writeUIntLE((1 << 1) | ((128 * 1024) << 3), 0, 3);
  const last = Buffer.from(block);
  last[0] = (last[0] as number) | 1;
  const head = Buffer.from('28b52ffd0058', 'hex');
  return Buffer.concat([head, ...Array<Buffer>(blocks - 1).fill(block), last]);
}

test.each([
  ['gzip', gzipSync],
  ['gzip in two parts', (all: Buffer) => Buffer.concat([gzipSync(all), gzipSync(all)])],
  ['zstd', zstd],
  ['zstd of stored blocks', zstdStored],
  ['zstd in two parts', (all: Buffer) => Buffer.concat([zstd(all), zstd(all)])],
])('unpacks %s', async (name, pack) => {
  const path = join(folder, 'packed');
  const bytes = Buffer.concat([randomBytes(300_000), Buffer.alloc(200_000, 'ab')]);
  const packed = pack(bytes);
  writeFileSync(path, packed);
  const input = await openInput(path);
  const found = await contentsOf(input);
  await input.close();
  const whole = name.includes('two') ? Buffer.concat([bytes, bytes]) : bytes;
  expect(found.equals(whole)).toBe(true);
  writeFileSync(path, packed.subarray(0, -100));
  const cut = await openInput(path);
  await expect(contentsOf(cut)).rejects.toThrow("packed can't be read any further");
  await cut.close();
});

test('gives a bomb of zstd piece by piece', async () => {
  const path = join(folder, 'bomb');
  writeFileSync(path, zstdBomb(2000));
  const before = process.memoryUsage().arrayBuffers;
  const input = await openInput(path);
  expect(await bytesOf(input)).toBe(2000 * 128 * 1024);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(120 * megabyte);
  await input.close();
}, 60_000);

test('holds nothing of a stream that was read', async () => {
  const path = join(folder, 'large.gz');
  const size = 150 * megabyte;
  writeFileSync(path, gzipSync(Buffer.alloc(size), { level: 1 }));
  const before = process.memoryUsage().arrayBuffers;
  const input = await openInput(path);
  expect(await bytesOf(input)).toBe(size);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(70 * megabyte);
  await input.close();
}, 60_000);
