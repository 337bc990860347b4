/** RDB files for tests: written by a real server, and read by the reader from memory. */
import { copyFileSync, cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Crc64 } from '../../src/redis/crc64.js';
import type { RdbSink } from '../../src/sources/rdb/value-types.js';
import { type RdbPosition, RdbReader } from '../../src/sources/rdb/rdb-reader.js';
import type { ByteInput } from '../../src/sources/rdb/lengths.js';
import type { Server } from './servers.js';
import { waitFor } from './wait.js';

/** What a server saves now. */
export async function saved({ client, directory }: Server): Promise<Buffer> {
  await client.call('SAVE');
  return readFileSync(join(directory, 'dump.rdb'));
}

/** The same as a file. @returns its path. */
export async function saveTo(file: string, { client, directory }: Server): Promise<string> {
  await client.call('SAVE');
  copyFileSync(join(directory, 'dump.rdb'), file);
  return file;
}

/** What a reader found in a file. */
export interface Found {
  /** Type and value by database and key, as `0 key`; keys as one character a byte. */
  readonly values: Map<string, Buffer>;
  readonly deadlines: Map<string, number>;
  readonly libraries: string[];
  readonly skipped: string[];
  readonly positions: RdbPosition[];
}

/** A file in memory as the reader takes it: so many bytes come at one time. */
export function inPieces(file: Buffer, pieceBytes: number): ByteInput {
  let at = 0;
  return {
    read(into, place) {
      const count = file.copy(into, place, at, Math.min(file.length, at + pieceBytes));
      at += count;
      return Promise.resolve(count);
    },
  };
}

/**
 * Reads a whole file.
 * @param pieceBytes how many bytes come at one time.
 */
export async function readAll(
  file: Buffer,
  pieceBytes = file.length,
  from?: RdbPosition,
): Promise<Found> {
  const found: Found = {
    ...{ values: new Map(), deadlines: new Map(), libraries: [], skipped: [], positions: [] },
  };
  const reader = new RdbReader(inPieces(file, pieceBytes), 'a.rdb');
  let keys = 0;
  let pieces: Buffer[] = [];
  const sink: RdbSink = {
    // One key at a time, so that the reader stops and goes on often.
    get isFull() {
      return keys > 0;
    },
    entry(entry) {
      const { key, keyFrom, keyEnd, value, valueFrom, valueEnd } = entry;
      const name = `${String(entry.db)} ${key.toString('latin1', keyFrom, keyEnd)}`;
      const type = Buffer.from([entry.type]);
      found.values.set(name, Buffer.concat([type, value.subarray(valueFrom, valueEnd)]));
      if (entry.deadlineMs >= 0) found.deadlines.set(name, entry.deadlineMs);
      keys++;
    },
    piece(bytes) {
      pieces.push(Buffer.from(bytes));
      return Promise.resolve();
    },
    large(entry, extent) {
      const name = `${String(entry.db)} ${entry.key.toString('latin1')}`;
      const whole = Buffer.concat([Buffer.from([entry.type]), ...pieces]);
      pieces = [];
      const sum = new Crc64();
      sum.update(whole, 0, whole.length);
      if (sum.hex !== extent.sum) throw new Error(`the sum of ${name} is wrong`);
      if (!file.subarray(extent.at, extent.at + extent.size).equals(whole.subarray(1))) {
        throw new Error(`${name} is not where it should be`);
      }
      found.values.set(name, whole);
      keys++;
      return Promise.resolve();
    },
    announced: () => undefined,
    library: (code) => found.libraries.push(code.toString()),
    skipped: (what) => found.skipped.push(what),
  };
  await reader.begin(from);
  while (await reader.read(sink)) {
    keys = 0;
    found.positions.push(reader.position);
  }
  return found;
}

/* What servers with `appendonly yes` write. */

/** Has a server begin anew with what it holds now; resolves when it has. */
export async function rewrite({ client }: Server): Promise<void> {
  await client.bgrewriteaof();
  await waitFor('the rewriting', async () => {
    const info = await client.info('persistence');
    return /aof_rewrite_in_progress:0/.test(info) && /aof_rewrite_scheduled:0/.test(info);
  });
}

/** Copies the commands since the server's start to a file. @returns its path. */
export function copyCommands(file: string, { directory }: Server): string {
  const folder = join(directory, 'appendonlydir');
  const increment = readdirSync(folder).find((name) => name.endsWith('.incr.aof')) ?? '';
  cpSync(join(folder, increment), file);
  return file;
}
