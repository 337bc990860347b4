/**
 * A dump (an RDB file) as a source: keys come with their values, in one pass.
 *
 * Damage ends the listing and is reported afterwards (`damage`), so that everything that stood before it
 * is on its way first.
 */
import { ImportError } from '../../errors.js';
import { largeIds } from '../../redis/value-record.js';
import type { Keys, ScanPosition, Source } from '../../types.js';
import type { Entry } from '../rdb/entry.js';
import { type RdbPosition, RdbReader } from '../rdb/rdb-reader.js';
import type { DumpInput } from './input.js';
import type { LargeKeeper } from './large.js';
import { dumpPages } from './dump-pages.js';

export interface DumpOptions {
  readonly name: string;
  readonly large: LargeKeeper;
  readonly wants: (entry: Entry) => boolean;
  readonly prefixFor: (db: number) => Buffer | undefined;
  readonly payloadVersion: number;
  /** Where an earlier reading of the same file had come to. */
  readonly startAt?: ScanPosition | undefined;
  /** Called once, before the first keys are handed out, if the file has function libraries. */
  onLibraries(codes: readonly Buffer[]): Promise<void>;
}

export interface DumpSource extends Source {
  /** What has been handed out so far ends here; undefined where the file can't be known again. */
  readonly position: ScanPosition | undefined;
  /** Why the file could not be read to its end. */
  readonly damage: ImportError | undefined;
  /** It has no checksum; known once all was read. */
  readonly isUnsummed: boolean;
  /** What was left out because only a server can take it. */
  readonly skipped: ReadonlySet<string>;
  /** Nothing more is read. */
  stop(): void;
}

export function dumpSource(input: DumpInput, options: DumpOptions): DumpSource {
  const { name, large } = options;
  const reader = new RdbReader(input, name);
  const pages = dumpPages(options);
  let damage: ImportError | undefined;
  let stopped = false;
  let handedOut = 0;
  let isDone = false;
  let at: RdbPosition | undefined;
  let earlierShare = 0;

  async function readPage(): Promise<boolean> {
    try {
      return await reader.read(pages);
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      // A stream that was stopped looks cut off.
      if (!stopped) damage = error;
      return false;
    }
  }

  async function* list(): AsyncIterable<Keys> {
    try {
      const earlier = positionOf(options.startAt, input.identity);
      await reader.begin(earlier);
      if (earlier) earlierShare = input.progress ?? 0;
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      // A stream that was stopped looks cut off.
      if (!stopped) damage = error;
      return;
    }
    for (let isFirst = true; ; isFirst = false) {
      const more = await readPage();
      if (isFirst && pages.libraries.length > 0) await options.onLibraries(pages.libraries);
      const page = pages.take();
      handedOut += page.count;
      at = reader.position;
      if (!more) isDone = damage === undefined && !stopped;
      yield page;
      if (!more) return;
      if (page.isUrgent === true) await large.room();
    }
  }

  return {
    name,
    isReplayable: false,
    release(keys) {
      for (const id of largeIds(keys)) large.done(id);
    },
    pages: list,
    get estimatedKeys() {
      return Math.max(pages.announcedKeys, handedOut);
    },
    get progress() {
      if (isDone) return 1;
      const share = input.progress ?? handedOut / Math.max(1, pages.announcedKeys, handedOut);
      return Math.min(share, 0.999);
    },
    get earlierShare() {
      return earlierShare;
    },
    get position() {
      return at && input.identity !== undefined
        ? { cursor: String(at.offset), server: `${input.identity} ${String(at.db)} ${at.sum}` }
        : undefined;
    },
    get damage() {
      return damage;
    },
    get isUnsummed() {
      return reader.isUnsummed;
    },
    get skipped() {
      return pages.skippedThings;
    },
    stop() {
      stopped = true;
      input.stop();
      large.stop();
    },
  };
}

/** @returns undefined when that was of another file, or of an earlier state of this one. */
function positionOf(
  position: ScanPosition | undefined,
  identity: string | undefined,
): RdbPosition | undefined {
  const [file, db, sum] = position?.server.split(' ') ?? [];
  if (!position || sum === undefined || file !== identity) return undefined;
  return { offset: Number(position.cursor), db: Number(db), sum };
}
