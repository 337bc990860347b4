/**
 * A dump (an RDB file) as a source: keys come with their values, in one pass.
 *
 * Damage ends the listing and is reported afterwards (`damage`), so that everything that stood before it
 * is on its way first.
 */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Gate } from '../../async.js';
import { ImportError } from '../../errors.js';
import { Crc64 } from '../../redis/crc64.js';
import { bulkHead, keysBuilder, type KeysBuilder } from '../../redis/frames.js';
import { forms, largeEntry, largeIds, writeHead } from '../../redis/value-record.js';
import type { LargeValues, Page, ScanPosition, Source } from '../../types.js';
import {
  type Entry,
  type LargeExtent,
  type RdbSink,
  stringType,
  type ValueType,
} from '../rdb/value-types.js';
import { encodings, length, takeString, takeStringHead, text } from '../rdb/lengths.js';
import { type RdbPosition, RdbReader } from '../rdb/rdb-reader.js';
import type { DumpInput } from './input.js';

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

  async function* list(): AsyncIterable<Page> {
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
      if (page.intent === 'urgent') await large.room();
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

/* Gathers what an RDB reader finds into pages of keys that bring their values along. */

const pageKeys = 512;
const pageBytes = 256 * 1024;
const trailerBytes = 10;
const crlf = Buffer.from('\r\n');
const nothing = Buffer.alloc(0);
const compressedByte = 0xc0 | encodings.compressed;

interface PagesOptions {
  readonly large: LargeKeeper;
  /** Whether an entry is to be imported. */
  readonly wants: (entry: Entry) => boolean;
  /** What is put ahead of the names of keys of this database; undefined: they keep their names. */
  readonly prefixFor: (db: number) => Buffer | undefined;
  /** Payloads say that they are of this version, or of that in which their type came. */
  readonly payloadVersion: number;
}

interface DumpPages extends RdbSink {
  /** What was found since the last call. */
  take(): Page;
  /** By the file's own account; too few where the file does not say. */
  readonly announcedKeys: number;
  readonly libraries: readonly Buffer[];
  readonly skippedThings: ReadonlySet<string>;
}

function dumpPages({ large, wants, prefixFor, payloadVersion }: PagesOptions): DumpPages {
  const keys = keysBuilder(pageKeys);
  const values = keysBuilder(pageKeys);
  const names = keysBuilder(pageKeys);
  const libraries: Buffer[] = [];
  const skippedThings = new Set<string>();
  const sum = new Crc64();
  const typeByte = Buffer.alloc(1);
  const trailer = Buffer.alloc(trailerBytes);
  let announcedKeys = 0;
  let isUrgent = false;

  function addKey(entry: Entry): void {
    addName(keys, entry, nothing);
    const prefix = prefixFor(entry.db);
    if (prefix) addName(names, entry, prefix);
  }

  function addName(to: KeysBuilder, { key, keyFrom, keyEnd }: Entry, prefix: Buffer): void {
    const head = bulkHead(prefix.length + keyEnd - keyFrom);
    to.piece(head, 0, head.length);
    if (prefix.length > 0) to.piece(prefix, 0, prefix.length);
    to.piece(key, keyFrom, keyEnd);
    to.piece(crlf, 0, 2);
    to.seal();
  }

  /** Begins the frame of a value of so many bytes, behind what is to be known of it. */
  function openFrame(head: Buffer, size: number): void {
    const opening = bulkHead(size);
    values.piece(head, 0, head.length);
    values.piece(opening, 0, opening.length);
  }

  function shutFrame(): void {
    values.piece(crlf, 0, 2);
    values.seal();
  }

  function addString(head: Buffer, bytes: Buffer, from: number, end: number): void {
    openFrame(head, end - from);
    values.piece(bytes, from, end);
    shutFrame();
  }

  /** The two bytes of the version and the checksum over all, which `sum` has up to them. */
  function finishTrailer({ since }: ValueType): void {
    trailer.writeUInt16LE(Math.max(since, payloadVersion), 0);
    sum.update(trailer, 0, 2);
    sum.write(trailer, 2);
  }

  return {
    libraries,
    skippedThings,
    get announcedKeys() {
      return announcedKeys;
    },
    get isFull() {
      return isUrgent || keys.count >= pageKeys || keys.byteLength + values.byteLength >= pageBytes;
    },
    entry(entry) {
      if (!wants(entry)) return;
      addKey(entry);
      const { type, valueType, value, valueFrom, valueEnd, idleSeconds, frequency } = entry;
      const isHinted = idleSeconds >= 0 || frequency >= 0;
      if (type === stringType && !isHinted && value[valueFrom] !== compressedByte) {
        const head = writeHead(forms.value, entry);
        if ((value[valueFrom] as number) >= 0xc0) {
          takeString(value, valueFrom, valueEnd);
          addString(head, text.bytes, text.from, text.end);
        } else {
          const from = takeStringHead(value, valueFrom, valueEnd);
          addString(head, value, from, from + length.value);
        }
        return;
      }
      typeByte[0] = type;
      sum.reset();
      sum.update(typeByte, 0, 1);
      sum.update(value, valueFrom, valueEnd);
      finishTrailer(valueType);
      openFrame(writeHead(forms.payload, entry), 1 + valueEnd - valueFrom + trailerBytes);
      values.piece(typeByte, 0, 1);
      values.piece(value, valueFrom, valueEnd);
      values.piece(trailer, 0, trailerBytes);
      shutFrame();
    },
    piece: large.piece,
    large(entry, extent) {
      // What is not wanted has been spooled as well: taken out at once.
      sum.hex = extent.sum;
      finishTrailer(entry.valueType);
      const id = large.keep(extent, Buffer.from([entry.type]), Buffer.from(trailer));
      if (!wants(entry)) large.done(id);
      else {
        addKey(entry);
        const whole = largeEntry(entry, id, 1 + extent.size + trailerBytes);
        values.add(whole, 0, whole.length);
        isUrgent = true;
      }
      return Promise.resolve();
    },
    announced: (keyCount) => (announcedKeys += keyCount),
    library: (code) => libraries.push(code),
    skipped: (what) => skippedThings.add(what),
    take() {
      const named = names.count > 0 && { names: names.take() };
      const intent: Page['intent'] = isUrgent ? 'urgent' : undefined;
      const page = { ...keys.take(), ...named, values: values.take(), intent };
      isUrgent = false;
      return page;
    },
  };
}

/*
 * Values that are too large to be held: read again from the file when they are sent, or, where that
 * is standard input or compressed, from a temporary file each.
 */

const pieceBytes = 256 * 1024;
/** How many may be on their way, or wait for their node, before the source is read on. */
const mostKept = 4;

export interface LargeKeeper extends LargeValues {
  /** Undefined: pieces need not be kept. */
  readonly piece: ((bytes: Buffer) => Promise<void>) | undefined;
  /**
   * All of a value was seen. @returns its number.
   * @param head what stands ahead of it in its payload. @param trailer what stands behind.
   */
  keep(extent: LargeExtent, head: Buffer, trailer: Buffer): number;
  /** Waits until few are kept. */
  room(): Promise<void>;
  /** Ends all waiting. */
  stop(): void;
  close(): Promise<void>;
}

interface Kept {
  readonly from: { readonly file: FileHandle; readonly at: number };
  readonly size: number;
  readonly head: Buffer;
  readonly trailer: Buffer;
  readonly discard: () => Promise<void>;
}

export function largeKeeper(source: FileHandle | undefined): LargeKeeper {
  const kept = new Map<number, Kept>();
  let count = 0;
  let stopped = false;
  const gate = new Gate();
  let current: FileHandle | undefined;

  async function spool(bytes: Buffer): Promise<void> {
    current ??= await openUnnamed();
    for (let at = 0; at < bytes.length;) {
      at += (await current.write(bytes, at)).bytesWritten;
    }
  }

  return {
    piece: source ? undefined : spool,
    keep({ at, size }, head, trailer) {
      const own = current;
      current = undefined;
      const from = own ? { file: own, at: 0 } : source && { file: source, at };
      if (!from) throw new Error('a large value was not kept');
      const discard = async (): Promise<void> => {
        await own?.close();
      };
      kept.set(++count, { from, size, head, trailer, discard });
      return count;
    },
    async *pieces(id) {
      const value = kept.get(id);
      if (!value) throw new Error(`there is no large value ${String(id)}`);
      const { from, size, head, trailer } = value;
      yield head;
      const buffer = Buffer.allocUnsafe(pieceBytes);
      for (let done = 0; done < size;) {
        const wanted = Math.min(pieceBytes, size - done);
        const { bytesRead } = await from.file.read(buffer, 0, wanted, from.at + done);
        if (bytesRead === 0) throw new Error('the file became shorter while it was read');
        yield buffer.subarray(0, bytesRead);
        done += bytesRead;
      }
      yield trailer;
    },
    done(id) {
      const value = kept.get(id);
      if (!value) return;
      kept.delete(id);
      value.discard().catch(() => undefined);
      gate.check();
    },
    room: () => gate.until(() => kept.size < mostKept || stopped),
    stop() {
      stopped = true;
      gate.check();
    },
    async close() {
      for (const { discard } of kept.values()) await discard().catch(() => undefined);
      await current?.close();
    },
  };
}

/** A file without a name: what it holds is gone with this process, however that ends. */
async function openUnnamed(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'cluster-import-'));
  try {
    return await open(join(folder, 'value'), 'wx+', 0o600);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
