/**
 * Reads an RDB file in one pass, from its first byte to its checksum, and hands out what it finds.
 *
 * Values are not decoded: where each ends is found (value-types.ts), and its bytes are what RESTORE
 * takes. Records that lie whole in the window are taken at once; one that does not is looked at
 * again when more is there, and a large value is stepped through piece by piece.
 * The format is that of rdbSaveRio and rdbLoadRio in Redis' rdb.c.
 */
import { Crc64 } from '../../redis/crc64.js';
import {
  type Entry,
  Extent,
  newEntry,
  type RdbSink,
  type ValueType,
  valueTypesOf,
} from './value-types.js';
import { type FileVersion, headBytes, headerBytes, versionIn, writtenBy } from './file-version.js';
import { cutOff, damage, goesOn, type RdbError, unknownPart, wrongSum } from './rdb-errors.js';
import {
  type ByteInput,
  expectedString,
  length,
  longestString,
  Malformed,
  takeCount,
  takeString,
  text,
  Window,
} from './lengths.js';
import { moduleTypeAt } from '../../redis/value-record.js';
import type { Product } from '../../types.js';

/** Values beyond this are not held. */
const largeBytes = 256 * 1024;
const sumBytes = 8;
/** From this version on files end with a checksum. */
const firstSummed = 5;

/** The lowest opcode of all products; types of values are below, and opcodes of some. */
const firstOpcode = 244;
const ahead = { idle: 248, frequency: 249, deadlineMs: 252, deadlineSeconds: 253 } as const;
const databaseOpcode = 254;
const endOpcode = 255;

/** From where an interrupted reading may go on. */
export interface RdbPosition {
  readonly offset: number;
  readonly db: number;
  /** Of everything before it. */
  readonly sum: string;
}

export class RdbReader {
  /** Of the file; known once `begin` has read it. */
  version: FileVersion = { number: 0, product: 'Redis', isNewer: false };
  /** It had no checksum; known once all was read. */
  isUnsummed = false;
  readonly #window: Window;
  #types = valueTypesOf('Redis');
  #writtenBy = '';
  readonly #entry: Entry = newEntry();
  readonly #extent = new Extent();
  readonly #valueSum = new Crc64();
  #db = 0;
  #ended = false;
  /** Set while a record is looked at: the type of its value, and where that begins. */
  #valueType: ValueType | undefined;
  #valueAt = 0;

  /**
   * @param name of the file, for errors.
   * @param mayGoOn whether something else may follow the dump: an append-only file's commands.
   */
  constructor(
    input: ByteInput,
    readonly name: string,
    readonly mayGoOn = false,
  ) {
    this.#window = new Window(input);
  }

  /** Where the next record begins. */
  get position(): RdbPosition {
    this.#window.settleSum();
    const { sum, at } = this.#window;
    return { offset: this.#window.offsetOf(at), db: this.#db, sum: sum.hex };
  }

  get offset(): number {
    return this.#window.offsetOf(this.#window.at);
  }

  /** Reads the first bytes. @throws RdbError when they are not those of a file that is known. */
  async begin(from?: RdbPosition): Promise<void> {
    const window = this.#window;
    while (window.end < headerBytes && (await window.refill()));
    const head = window.bytes.toString('latin1', 0, Math.min(window.end, headBytes));
    this.version = versionIn(head, this.name);
    this.#types = valueTypesOf(this.version.product);
    this.#writtenBy = writtenBy(head);
    window.at = headerBytes;
    if (!from) return;
    if (!(await window.skipTo(from.offset, from.sum))) throw this.#truncated();
    this.#db = from.db;
  }

  /**
   * Reads until the sink is full.
   * @returns false once the file has ended as it should.
   * @throws RdbError at the first byte that is not what it must be.
   */
  async read(sink: RdbSink): Promise<boolean> {
    const window = this.#window;
    try {
      while (!this.#ended) {
        if (sink.isFull) return true;
        const next = this.#takeRecord(sink);
        if (next !== -1) {
          window.at = next;
          continue;
        }
        if (this.#valueType && this.#isLarge()) await this.#takeLarge(sink, this.#valueType);
        else {
          if (window.end - window.at > longestString) {
            throw new Malformed(window.at, expectedString);
          }
          if (!(await window.refill())) throw this.#truncated();
        }
      }
      await this.#checkSum();
      if (!this.mayGoOn) await this.#demandEnd();
      return false;
    } catch (error) {
      if (error instanceof Malformed) throw this.#damage(error.at, error.expected);
      throw error;
    }
  }

  /** Whether what is known of the value that is being looked at is more than may be held. */
  #isLarge(): boolean {
    return this.#window.end - this.#valueAt > largeBytes;
  }

  /** Takes one record, deadlines and hints ahead of a key included. @returns -1: not all is here. */
  #takeRecord(sink: RdbSink): number {
    const { bytes, end } = this.#window;
    const entry = this.#entry;
    entry.deadlineMs = -1;
    entry.idleSeconds = -1;
    entry.frequency = -1;
    this.#valueType = undefined;
    let at = this.#window.at;
    for (;;) {
      if (at >= end) return -1;
      const opcode = bytes[at] as number;
      if (opcode < firstOpcode) {
        const valueType = this.#types.get(opcode);
        if (valueType) return this.#takeEntry(sink, at, valueType);
        at = this.#takeAhead(sink, opcode, at);
        if (at === -1) return -1;
        continue;
      }
      switch (opcode) {
        case ahead.deadlineMs:
          if (at + 9 > end) return -1;
          entry.deadlineMs = deadlineOf(
            bytes.readUInt32LE(at + 1) + bytes.readInt32LE(at + 5) * 2 ** 32,
          );
          at += 9;
          break;
        case ahead.deadlineSeconds:
          if (at + 5 > end) return -1;
          entry.deadlineMs = deadlineOf(bytes.readInt32LE(at + 1) * 1000);
          at += 5;
          break;
        case ahead.idle:
          at = takeCount(bytes, at + 1, end);
          if (at === -1) return -1;
          entry.idleSeconds = length.value;
          break;
        case ahead.frequency:
          if (at + 2 > end) return -1;
          entry.frequency = bytes[at + 1] as number;
          at += 2;
          break;
        default:
          return this.#takeOther(sink, opcode, at);
      }
    }
  }

  /** What some products put ahead of keys, or between them. */
  #takeAhead(sink: RdbSink, opcode: number, at: number): number {
    const { bytes, end } = this.#window;
    const next = takeAhead(sink, this.version.product, opcode, bytes, at + 1, end);
    if (next !== undefined) return next;
    const { number, product, isNewer } = this.version;
    // No server of a version that is known writes it.
    if (!isNewer && !isOfEnterprise(opcode)) {
      throw new Malformed(at, `a type of value that is known (not ${String(opcode)})`);
    }
    const writer = isNewer
      ? `RDB version ${String(number)} of ${product}${this.#writtenBy}`
      : 'Redis Enterprise';
    throw unknownPart(this.name, writer, opcode, this.#window.offsetOf(at));
  }

  #takeEntry(sink: RdbSink, at: number, valueType: ValueType): number {
    const { bytes, end } = this.#window;
    const entry = this.#entry;
    const valueAt = takeString(bytes, at + 1, end);
    if (valueAt === -1) return -1;
    entry.key = text.bytes;
    entry.keyFrom = text.from;
    entry.keyEnd = text.end;
    entry.type = bytes[at] as number;
    entry.valueType = valueType;
    entry.db = this.#db;
    this.#valueType = valueType;
    this.#valueAt = valueAt;
    const extent = this.#extent;
    extent.begin(valueType.parts);
    const valueEnd = extent.take(bytes, valueAt, end);
    if (!extent.done || valueEnd - valueAt > largeBytes) return -1;
    entry.value = bytes;
    entry.valueFrom = valueAt;
    entry.valueEnd = valueEnd;
    sink.entry(entry);
    return valueEnd;
  }

  /** What is no key. */
  #takeOther(sink: RdbSink, opcode: number, at: number): number {
    const { bytes, end } = this.#window;
    if (opcode === endOpcode) {
      this.#ended = true;
      return at + 1;
    }
    if (opcode !== databaseOpcode) return takeAside(sink, opcode, bytes, at + 1, end);
    const next = takeCount(bytes, at + 1, end);
    if (next !== -1) this.#db = length.value;
    return next;
  }

  /** Steps through a value that may be larger than the window. */
  async #takeLarge(sink: RdbSink, { parts }: ValueType): Promise<void> {
    const window = this.#window;
    const entry = this.#entry;
    // The window moves on, and what is in it with it.
    entry.key = Buffer.from(entry.key.subarray(entry.keyFrom, entry.keyEnd));
    entry.keyFrom = 0;
    entry.keyEnd = entry.key.length;
    window.at = this.#valueAt;
    const at = this.offset;
    this.#valueSum.reset();
    this.#valueSum.update(Buffer.from([entry.type]), 0, 1);
    this.#extent.begin(parts);
    for (;;) {
      const from = window.at;
      window.at = this.#extent.take(window.bytes, from, window.end);
      this.#valueSum.update(window.bytes, from, window.at);
      if (window.at > from) await sink.piece?.(window.bytes.subarray(from, window.at));
      if (this.#extent.done) break;
      if (!(await window.refill())) throw this.#truncated();
    }
    await sink.large(entry, { at, size: this.offset - at, sum: this.#valueSum.hex });
  }

  async #checkSum(): Promise<void> {
    const window = this.#window;
    if (this.version.number < firstSummed) return;
    window.settleSum();
    const found = window.sum.hex;
    while (window.end - window.at < sumBytes) {
      if (!(await window.refill())) throw this.#truncated();
    }
    const wanted = Buffer.from(window.bytes.subarray(window.at, window.at + sumBytes))
      .reverse()
      .toString('hex');
    // Servers that are told not to compute it write zeros.
    this.isUnsummed = wanted === '0'.repeat(16);
    if (!this.isUnsummed && wanted !== found) {
      throw wrongSum(this.name, this.offset, found, wanted);
    }
    window.at += sumBytes;
  }

  /** What follows a dump is not to be overlooked: mostly those are the later writes. */
  async #demandEnd(): Promise<void> {
    const window = this.#window;
    if (window.at === window.end && !(await window.refill())) return;
    throw goesOn(this.name, this.offset);
  }

  #damage(at: number, expected: string): RdbError {
    return damage(this.name, this.#window.offsetOf(at), expected);
  }

  #truncated(): RdbError {
    const window = this.#window;
    return cutOff(this.name, window.offsetOf(window.end), this.offset);
  }
}

/** Opcodes of which it is known only that they exist (librdb's defines.h). */
function isOfEnterprise(opcode: number): boolean {
  return opcode === 101 || opcode === 102;
}

/** What lies before the epoch is over as well; and servers take no later times than this. */
function deadlineOf(ms: number): number {
  return Math.min(Math.max(0, ms), Number.MAX_SAFE_INTEGER);
}

/* The records of an RDB file that are neither keys nor tell which database the keys are of. */

const opcodes = {
  slotInfo: 244,
  library: 245,
  oldLibrary: 246,
  moduleAux: 247,
  aux: 250,
  sizes: 251,
} as const;

/** Its type, when it was written (a code and a number), and what the module wrote. */
const moduleAuxParts = ['length', 'length', 'length', 'module values'] as const;

const extent = new Extent();

/** What only one product writes, below the opcodes of all. */
const ofProducts = {
  /** Of Redis Enterprise: how lately a key was used, and the slot of the keys behind it. Each is a number. */
  enterpriseUse: 107,
  enterpriseSlot: 121,
  /** Of Redis since 8.6: what modules have attached to the key behind it. Of Valkey: slots that are coming in. */
  keyMetadataOrSlotImport: 243,
} as const;

/** So many classes: four bytes of its name and flags, and what the module wrote. */
const keyMetadataParts = [[4, 'module values']] as const;
/** Its name; so many ranges of slots. */
const slotImportParts = ['string', ['length', 'length']] as const;

/**
 * Takes what stands behind an opcode of one product.
 * @returns where that ends; -1: not all of it is here; undefined: there is no such opcode.
 */
function takeAhead(
  sink: RdbSink,
  product: Product,
  opcode: number,
  bytes: Buffer,
  at: number,
  end: number,
): number | undefined {
  if (opcode === ofProducts.keyMetadataOrSlotImport) {
    const isOfRedis = product === 'Redis';
    extent.begin(isOfRedis ? keyMetadataParts : slotImportParts);
    const next = extent.take(bytes, at, end);
    if (!extent.done) return -1;
    sink.skipped(
      isOfRedis
        ? 'metadata of modules that belongs to keys'
        : 'a note of slots that were coming in',
    );
    return next;
  }
  const isOfEnterprise =
    opcode === ofProducts.enterpriseUse || opcode === ofProducts.enterpriseSlot;
  return isOfEnterprise && product === 'Redis' ? takeCount(bytes, at, end) : undefined;
}

/** Takes what stands behind the opcode. @returns where that ends; -1: not all of it is here. */
function takeAside(sink: RdbSink, opcode: number, bytes: Buffer, at: number, end: number): number {
  switch (opcode) {
    case opcodes.sizes: {
      const expiring = takeCount(bytes, at, end);
      const keyCount = length.value;
      const next = expiring === -1 ? -1 : takeCount(bytes, expiring, end);
      if (next !== -1) sink.announced(keyCount);
      return next;
    }
    case opcodes.slotInfo: {
      let next = at;
      for (let nth = 0; nth < 3 && next !== -1; nth++) next = takeCount(bytes, next, end);
      return next;
    }
    case opcodes.aux: {
      const value = takeString(bytes, at, end);
      return value === -1 ? -1 : takeString(bytes, value, end);
    }
    case opcodes.library: {
      const next = takeString(bytes, at, end);
      if (next !== -1) sink.library(Buffer.from(text.bytes.subarray(text.from, text.end)));
      return next;
    }
    case opcodes.oldLibrary:
      return takeOldLibrary(sink, bytes, at, end);
    default:
      return takeModuleAux(sink, bytes, at, end);
  }
}

/** Name, engine, whether a description follows, code: as the first candidates of 7.0 wrote it. */
function takeOldLibrary(sink: RdbSink, bytes: Buffer, at: number, end: number): number {
  let next = takeString(bytes, at, end);
  if (next !== -1) next = takeString(bytes, next, end);
  if (next !== -1) next = takeCount(bytes, next, end);
  const strings = length.value === 0 ? 1 : 2;
  for (let nth = 0; nth < strings && next !== -1; nth++) next = takeString(bytes, next, end);
  if (next !== -1) sink.skipped('a function library of a release candidate of Redis 7.0');
  return next;
}

function takeModuleAux(sink: RdbSink, bytes: Buffer, at: number, end: number): number {
  extent.begin(moduleAuxParts);
  const next = extent.take(bytes, at, end);
  if (!extent.done) return -1;
  sink.skipped(`data that belongs to no key, of the module type ${moduleTypeAt(bytes, at, end)}`);
  return next;
}
