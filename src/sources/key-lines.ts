/**
 * Reads keys from a file of JSON lines, as `--failed-keys` writes them:
 * `{"key":"…","keyEncoding":"utf8"|"base64"}`; what else a line holds does not matter, but for `db`.
 *
 * A key that is read wrong is another key, so whatever is not exact is refused: bytes that are no
 * UTF-8, base64 that is none. Lines end with a line feed only, because keys hold all kinds of others.
 */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { UsageError } from '../errors.js';

const limitBytes = 256 * 1024 * 1024;
const LF = 0x0a;

export interface KeyLine {
  readonly key: Buffer;
  /** Where the line ends in the file. */
  readonly endBytes: number;
}

/** @throws UsageError naming the line that can't be understood. */
export async function* keyLines(path: string, db: number): AsyncIterable<KeyLine> {
  let number = 0;
  for await (const { bytes, endBytes } of lines(path)) {
    number++;
    const key = readKey(bytes, db);
    if (typeof key === 'string') {
      throw new UsageError(`--only-keys: line ${String(number)} of ${path} ${key}.`);
    }
    if (key) yield { key, endBytes };
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
    if (held > limitBytes) throw new UsageError(`--only-keys: ${path} is no file of lines.`);
  }
  yield { bytes: Buffer.concat(pieces), endBytes };
}

/** @returns the key, nothing for an empty line, or what is wrong with it. */
function readKey(bytes: Buffer, db: number): Buffer | string | undefined {
  if (!isUtf8(bytes)) return 'is not UTF-8';
  const text = bytes.toString('utf8').trim();
  if (text === '') return undefined;
  const value = parse(text);
  if (value === undefined) return 'is not a JSON object';
  const { key, keyEncoding = 'utf8' } = value;
  if (typeof key !== 'string') return 'has no "key" that is text';
  if (keyEncoding !== 'utf8' && keyEncoding !== 'base64') {
    return 'has a "keyEncoding" other than "utf8" and "base64"';
  }
  if (value['db'] !== undefined && value['db'] !== db) {
    return `is of database ${JSON.stringify(value['db'])}, and --from is database ${String(db)}`;
  }
  const read = Buffer.from(key, keyEncoding);
  if (read.toString(keyEncoding) === key) return read;
  return keyEncoding === 'base64'
    ? 'has a "key" that is not base64'
    : 'has a "key" that is no whole text';
}

function parse(text: string): Partial<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
