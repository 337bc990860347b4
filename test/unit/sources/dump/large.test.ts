/** Large values of a dump that can be read only once. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { largeKeeper } from '../../../../src/sources/dump/source.js';

const folder = mkdtempSync(join(tmpdir(), 'cluster-import-large-'));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

it('are kept on disk without a name, so that nothing of them outlives the process', async () => {
  vi.stubEnv('TMPDIR', folder);
  const large = largeKeeper(undefined);
  const ids: number[] = [];
  for (const value of ['first', 'second']) {
    await large.piece?.(Buffer.from(value.slice(0, 2)));
    await large.piece?.(Buffer.from(value.slice(2)));
    const extent = { at: 0, size: value.length, sum: '' };
    ids.push(large.keep(extent, Buffer.from('<'), Buffer.from('>')));
  }
  expect(readdirSync(folder)).toEqual([]);
  const read: string[] = [];
  for (const id of ids) {
    const pieces: Buffer[] = [];
    for await (const piece of large.pieces(id)) pieces.push(Buffer.from(piece));
    read.push(Buffer.concat(pieces).toString());
  }
  expect(read).toEqual(['<first>', '<second>']);
  await large.close();
});
