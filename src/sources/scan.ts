/**
 * A running server as a source of keys: SCAN, one page ahead of whoever reads.
 *
 * SCAN returns every key that is there throughout at least once, some twice, and pages may be
 * empty (https://redis.io/docs/latest/commands/scan/). The cursor is an unsigned 64-bit number, so
 * it stays text.
 */
import { ProtocolError, RefusedError } from '../errors.js';
import type { Connection } from '../redis/connection.js';
import { command } from '../redis/frames.js';
import type { Link, Linked } from '../redis/link.js';
import type { SourceHealth } from '../redis/source-health.js';
import type { Keys, ScanPosition, Source } from '../types.js';
import { type Page, PageReader } from './scan-page.js';

/** How often one page is asked for, each time over a new connection. */
const triesPerPage = 10;

export interface ScanOptions {
  readonly name: string;
  /** Keys at the source before the start (DBSIZE). */
  readonly estimatedKeys: number;
  /** How many buckets each SCAN looks at: its COUNT. */
  pageKeys(): number;
  /** Where an earlier scan of this server had come to: the first one goes on from there. */
  readonly startAt?: ScanPosition | undefined;
}

export interface ScanSource extends Source {
  /** What has been handed out so far ends here; undefined where the server has no run_id. */
  readonly position: ScanPosition | undefined;
}

/** A page, and which server's it is. */
type Scanned = Page & { readonly server: string };

/**
 * @param health is waited for where the source refuses SCAN for now.
 * @param link gives a connection for the scan alone. When that is lost the scan goes on where it
 *   was, or from the start if the server has been restarted: its table has another order then.
 */
export function scanSource(link: Link, health: SourceHealth, options: ScanOptions): ScanSource {
  let progress = 0;
  let earlierShare = scanPosition(options.startAt?.cursor ?? '0');
  let position: ScanPosition | undefined;
  let { startAt } = options;
  let linked: Promise<Linked> | undefined;
  let pageBytes: number | undefined;

  async function page(cursor: string, tries = 1): Promise<Scanned> {
    const before = await (linked ??= link.open());
    try {
      const read = await request(before.connection, cursor);
      health.accepted();
      return { ...read, server: before.identity };
    } catch (error) {
      if (error instanceof RefusedError) {
        health.refused(error.reply);
        await health.ready();
        return page(cursor, tries);
      }
      // A server that opens and then fails at each SCAN, or answers nonsense, will not mend.
      if (!before.connection.lost || error instanceof ProtocolError || tries === triesPerPage) {
        throw error;
      }
      linked = link.open();
      const same = (await linked).identity === before.identity;
      return page(same ? cursor : '0', tries + 1);
    }
  }

  function request(connection: Connection, cursor: string): Promise<Page> {
    return new Promise((resolve, reject) => {
      const pageKeys = options.pageKeys();
      connection.out.append(command('SCAN', cursor, 'COUNT', pageKeys));
      connection.expect(new PageReader(options.name, pageKeys, resolve, reject, pageBytes));
    });
  }

  /** Later passes begin at the start. */
  async function firstCursor(): Promise<string> {
    const earlier = startAt;
    startAt = undefined;
    const identity = earlier && (await (linked ??= link.open())).identity;
    if (earlier && identity === earlier.server) return earlier.cursor;
    earlierShare = 0;
    return '0';
  }

  async function* pages(): AsyncIterable<Keys> {
    const first = await firstCursor();
    progress = earlierShare;
    let next = page(first);
    for (;;) {
      const { cursor, keys, server } = await next;
      position = server === '' ? undefined : { cursor, server };
      pageBytes = Math.ceil(keys.bytes.length * 1.1);
      if (cursor === '0') {
        progress = 1;
        yield keys;
        return;
      }
      next = page(cursor);
      // Who stops reading early must not leave a rejection behind.
      next.catch(() => undefined);
      progress = scanPosition(cursor);
      yield keys;
    }
  }

  return {
    name: options.name,
    pages,
    estimatedKeys: options.estimatedKeys,
    // From where an earlier scan had come to, only the rest.
    get expectedKeys() {
      return options.estimatedKeys * (1 - earlierShare);
    },
    get progress() {
      return progress;
    },
    get earlierShare() {
      return earlierShare;
    },
    get position() {
      return position;
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
