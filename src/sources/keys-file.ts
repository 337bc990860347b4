/**
 * Keys that are named in a file, as a source: for doing once more what failed, and nothing else.
 * The file is read twice, once to check all of it before the start, so its size does not matter.
 */
import { stat } from 'node:fs/promises';
import { messageOf, UsageError } from '../errors.js';
import { keysBuilder } from '../redis/keys.js';
import type { Keys, Source } from '../types.js';
import { type KeyLine, keyLines, type KeySource } from './key-lines.js';

const pageKeys = 1000;
const pageBytes = 1024 * 1024;
/** So many keys are remembered to find those that come twice; the engine notices the others. */
const rememberedKeys = 1_000_000;

export interface KeysFile {
  readonly path: string;
  /** What its keys may be of. */
  readonly sources: readonly KeySource[];
  readonly keyCount: number;
  readonly byteLength: number;
}

/** @throws UsageError when it can't be read, or a line of it can't be understood. */
export async function checkKeysFile(
  path: string,
  sources: readonly KeySource[],
): Promise<KeysFile> {
  try {
    let keyCount = 0;
    const lines = distinct(keyLines(path, sources))[Symbol.asyncIterator]();
    while (!(await lines.next()).done) keyCount++;
    return { path, sources, keyCount, byteLength: (await stat(path)).size };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const words = messageOf(error);
    throw new UsageError(`--only-keys can't be read (${words}): give another file.`, {
      cause: error,
    });
  }
}

export function keysFileSource(file: KeysFile, name: string): Source {
  let progress = 0;
  const wanted = file.sources.find((source) => source.name === name);

  async function* pages(): AsyncIterable<Keys> {
    progress = 0;
    const builder = keysBuilder(pageKeys);
    for await (const { key, endBytes } of distinct(keyLines(file.path, file.sources, wanted))) {
      const frame = Buffer.concat([Buffer.from(`$${String(key.length)}\r\n`), key, crlf]);
      builder.add(frame, 0, frame.length);
      if (builder.count < pageKeys && builder.byteLength < pageBytes) continue;
      progress = Math.min(1, endBytes / file.byteLength);
      yield builder.take();
    }
    progress = 1;
    yield builder.take();
  }

  return {
    name,
    isReplayable: true,
    pages,
    estimatedKeys: file.keyCount,
    expectedKeys: file.keyCount,
    get progress() {
      return progress;
    },
  };
}

const crlf = Buffer.from('\r\n');

async function* distinct(lines: AsyncIterable<KeyLine>): AsyncIterable<KeyLine> {
  let seen = new Set<string>();
  for await (const line of lines) {
    const text = line.key.toString('latin1');
    if (seen.has(text)) continue;
    if (seen.size === rememberedKeys) seen = new Set();
    seen.add(text);
    yield line;
  }
}
