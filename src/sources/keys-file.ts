/**
 * Keys that are named in a file, as a source: for doing once more what failed, and nothing else.
 * The file is read twice, once to check all of it before the start, so its size does not matter.
 *
 * It holds JSON lines, as `--failed-keys` writes them: `{"key":"…","keyEncoding":"utf8"|"base64"}`;
 * what else a line holds does not matter, but for `db` and `from`, which say whose key it is. A key
 * that is read wrong is another key, so whatever is not exact is refused: bytes that are not UTF-8,
 * malformed base64. Lines end with a line feed only, because keys hold all kinds of others.
 */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { messageOf, UsageError } from '../errors.js';
import { parseObject } from '../format.js';
import { keysBuilder } from '../redis/frames.js';
import type { Keys, Source } from '../types.js';

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

const limitBytes = 256 * 1024 * 1024;
const LF = 0x0a;

interface KeyLine {
  readonly key: Buffer;
  /** Where the line ends in the file. */
  readonly endBytes: number;
}

/** What keys may be of. */
export interface KeySource {
  /** `host:port/db` */
  readonly name: string;
  readonly db: number;
}

/**
 * @param sources what the lines may name.
 * @param wanted only its keys; undefined: those of all.
 * @throws UsageError naming the line that can't be understood, or is of none of the sources.
 */
async function* keyLines(
  path: string,
  sources: readonly KeySource[],
  wanted?: KeySource,
): AsyncIterable<KeyLine> {
  let number = 0;
  for await (const { bytes, endBytes } of lines(path)) {
    number++;
    const line = readLine(bytes, sources);
    if (typeof line === 'string') {
      throw new UsageError(`--only-keys: line ${String(number)} of ${path} ${line}.`);
    }
    if (line && (!wanted || line.of.includes(wanted))) yield { key: line.key, endBytes };
  }
}

async function* lines(path: string): AsyncIterable<{ bytes: Buffer; endBytes: number }> {
  let pieces: Buffer[] = [];
  let held = 0;
  let endBytes = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let at = chunk.indexOf(LF); at !== -1; at = chunk.indexOf(LF, from)) {
      yield {
        bytes: Buffer.concat([...pieces, chunk.subarray(from, at)]),
        endBytes: endBytes + at + 1,
      };
      pieces = [];
      held = 0;
      from = at + 1;
    }
    pieces.push(chunk.subarray(from));
    held += chunk.length - from;
    endBytes += chunk.length;
    if (held > limitBytes) throw new UsageError(`--only-keys: ${path} is not a file of lines.`);
  }
  yield { bytes: Buffer.concat(pieces), endBytes };
}

interface Line {
  readonly key: Buffer;
  readonly of: readonly KeySource[];
}

/** @returns the key, nothing for an empty line, or what is wrong with it. */
function readLine(bytes: Buffer, sources: readonly KeySource[]): Line | string | undefined {
  if (!isUtf8(bytes)) return 'is not UTF-8';
  const text = bytes.toString('utf8').trim();
  if (text === '') return undefined;
  const value = parseObject(text);
  if (value === undefined) return 'is not a JSON object';
  const { key, keyEncoding = 'utf8' } = value;
  if (typeof key !== 'string') return 'has no "key" that is text';
  if (keyEncoding !== 'utf8' && keyEncoding !== 'base64') {
    return 'has a "keyEncoding" other than "utf8" and "base64"';
  }
  const of = sources.filter(
    ({ name, db }) => (value['db'] ?? db) === db && (value['from'] ?? name) === name,
  );
  if (of.length === 0) return strangeness(value, sources);
  const read = Buffer.from(key, keyEncoding);
  if (read.toString(keyEncoding) === key) return { key: read, of };
  return keyEncoding === 'base64'
    ? 'has a "key" that is not base64'
    : 'has a "key" that is not valid text';
}

function strangeness(
  { db, from }: Partial<Record<string, unknown>>,
  sources: readonly KeySource[],
): string {
  if (from !== undefined) return `is of ${JSON.stringify(from)}, which --from does not name`;
  const known = [...new Set(sources.map((source) => source.db))].join(', ');
  return `is of database ${JSON.stringify(db)}, and --from is database ${known}`;
}
