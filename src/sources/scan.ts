/**
 * A running server as a source of keys: SCAN, one page ahead of whoever reads.
 *
 * SCAN returns every key that is there throughout at least once, some twice, and pages may be
 * empty (https://redis.io/docs/latest/commands/scan/). The cursor is an unsigned 64-bit number, so
 * it stays text.
 */
import type { Connection } from '../redis/connection.js';
import { command } from '../redis/frames.js';
import type { Keys, Source } from '../types.js';
import { type Page, PageReader } from './page.js';

export interface ScanOptions {
  readonly name: string;
  /** Keys at the source before the start (DBSIZE). */
  readonly estimatedKeys: number;
  /** How many buckets each SCAN looks at: its COUNT. */
  readonly pageKeys: number;
}

/** @param connection is used for nothing but the scan while it lasts. */
export function scanSource(connection: Connection, options: ScanOptions): Source {
  let progress = 0;

  function request(cursor: string): Promise<Page> {
    return new Promise((resolve, reject) => {
      connection.out.append(command('SCAN', cursor, 'COUNT', options.pageKeys));
      connection.expect(new PageReader(options.name, options.pageKeys, resolve, reject));
    });
  }

  async function* pages(): AsyncIterable<Keys> {
    progress = 0;
    let next = request('0');
    for (;;) {
      const page = await next;
      if (page.cursor === '0') {
        progress = 1;
        yield page.keys;
        return;
      }
      next = request(page.cursor);
      // Who stops reading early must not leave a rejection behind.
      next.catch(() => undefined);
      progress = scanPosition(page.cursor);
      yield page.keys;
    }
  }

  return {
    name: options.name,
    pages,
    estimatedKeys: options.estimatedKeys,
    get progress() {
      return progress;
    },
  };
}

/**
 * How far a cursor is through the table, 0 to 1. SCAN counts with the bits reversed (dictScan in
 * Redis' dict.c), so that the low bits of the cursor are the high ones of the position, whatever
 * the size of the table.
 */
export function scanPosition(cursor: string): number {
  let rest = Number(BigInt.asUintN(32, BigInt(cursor)));
  let position = 0;
  for (let weight = 0.5; rest !== 0; weight /= 2, rest >>>= 1) if (rest & 1) position += weight;
  return position;
}
