/** Where the bytes of dumps come from: what was read is not held. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { type DumpInput, openInput } from '../../../src/sources/dump/input.js';

const megabyte = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'cluster-import-input-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function bytesOf(input: DumpInput): Promise<number> {
  const into = Buffer.alloc(megabyte);
  for (let sum = 0; ;) {
    const count = await input.read(into, 0);
    if (count === 0) return sum;
    sum += count;
  }
}

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
