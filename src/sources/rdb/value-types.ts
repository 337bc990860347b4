/**
 * The types of values in RDB files, one a row: what TYPE calls it, the first RDB version that has
 * it, and what its bytes are made of (rdb.h and rdbLoadObject in Redis' rdb.c).
 *
 * RDB versions: 6 came with Redis 2.6, 7 with 3.2, 8 with 4.0, 9 with 5.0, 10 with 7.0, 11 with
 * 7.2, 12 with Redis 7.4, 80 with Valkey 9.0.
 *
 * At the end: an entry of a file, and the sink that a reader gives entries to.
 */
import type { Product } from '../../types.js';
import { length, Malformed, takeCount, takeLength, takeStringHead } from './lengths.js';

/** A part of a value. */
export type Part =
  /** Length, or a number written like one. */
  | 'length'
  | 'string'
  /** A number as text behind one byte that tells how long it is. */
  | 'textual double'
  /** What a module wrote: values with a code ahead of each, up to an end. */
  | 'module values'
  /** So many bytes. */
  | number
  /** A count, and these parts so many times. */
  | readonly Part[];

export interface ValueType {
  /** As TYPE names it. */
  readonly name: string;
  /** The first RDB version with it: a payload of that version is understood wherever it is known. */
  readonly since: number;
  readonly parts: readonly Part[];
}

const milliseconds = 8;
const entryId = 16;

const consumer = (times: number): readonly Part[] => ['string', milliseconds * times, [entryId]];
const pending: readonly Part[] = [entryId, milliseconds, 'length'];

/** Nodes; count, last id; what version 2 added; groups, each with what version 2 and 3 added. */
function stream(version: 1 | 2 | 3): readonly Part[] {
  const more: readonly Part[] = version === 1 ? [] : Array<Part>(5).fill('length');
  const read: readonly Part[] = version === 1 ? [] : ['length'];
  const group = ['string', 'length', 'length', ...read, pending, consumer(version === 3 ? 2 : 1)];
  return [['string', 'string'], 'length', 'length', 'length', ...more, group as readonly Part[]];
}

const row = (name: string, since: number, ...parts: readonly Part[]): ValueType => ({
  name,
  since,
  parts,
});

const moduleType = 7;
export const stringType = 0;

/** Up to 21, both products mean the same by a number. */
const commonTypes: readonly (readonly [number, ValueType])[] = [
  [stringType, row('string', 1, 'string')],
  [1, row('list', 1, ['string'])],
  [2, row('set', 1, ['string'])],
  [3, row('zset', 1, ['string', 'textual double'])],
  [4, row('hash', 1, ['string', 'string'])],
  [5, row('zset', 8, ['string', 8])],
  // 6 is that of modules in release candidates of 4.0: only the module knows where it ends.
  [moduleType, row('module', 8, 'length', 'module values')],
  [9, row('hash', 2, 'string')],
  [10, row('list', 2, 'string')],
  [11, row('set', 2, 'string')],
  [12, row('zset', 2, 'string')],
  [13, row('hash', 4, 'string')],
  [14, row('list', 7, ['string'])],
  [15, row('stream', 9, ...stream(1))],
  [16, row('hash', 10, 'string')],
  [17, row('zset', 10, 'string')],
  [18, row('list', 10, ['length', 'string'])],
  [19, row('stream', 10, ...stream(2))],
  [20, row('set', 11, 'string')],
  [21, row('stream', 11, ...stream(3))],
];

const ofRedis: ReadonlyMap<number, ValueType> = new Map([
  ...commonTypes,
  // Deadlines of fields: as release candidates of 7.4 wrote them, then as 7.4 does.
  [22, row('hash', 12, ['length', 'string', 'string'])],
  [23, row('hash', 12, 'string')],
  [24, row('hash', 12, milliseconds, ['length', 'string', 'string'])],
  [25, row('hash', 12, milliseconds, 'string')],
]);

const ofValkey: ReadonlyMap<number, ValueType> = new Map([
  ...commonTypes,
  // Fields with their deadlines, -1 for none.
  [22, row('hash', 80, ['string', 'string', milliseconds])],
]);

export function valueTypesOf(product: Product): ReadonlyMap<number, ValueType> {
  return product === 'Redis' ? ofRedis : ofValkey;
}

/** What TYPE calls a type of either product. */
export function typeNameOf(type: number): string {
  return ofRedis.get(type)?.name ?? 'unknown';
}

/*
 * Finds where a value ends, without decoding it: its parts are stepped over.
 *
 * It can be fed piece by piece, so that a value of any size needs no more memory than a small one.
 * What it leaves of a piece (the start of a length) must be offered again with more behind it.
 */

/** Parts that are being stepped over, several times. */
interface Level {
  parts: readonly Part[];
  next: number;
  timesLeft: number;
}

const moduleCodes = { end: 0, signed: 1, unsigned: 2, float: 3, double: 4, string: 5 } as const;
/** What the length of a textual double may be instead: not a number, and both infinities. */
const firstUntold = 253;

export class Extent {
  done = false;
  /** Kept and used again: most values have one level or two. */
  readonly #levels: Level[] = [];
  #depth = 0;
  /** Bytes to step over. */
  #skip = 0;

  begin(parts: readonly Part[]): void {
    this.done = false;
    this.#depth = 0;
    this.#skip = 0;
    this.#enter(parts, 1);
  }

  /** @returns up to where it took; `done` tells whether the value ends there. */
  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    for (;;) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, end - at);
        at += step;
        this.#skip -= step;
        if (this.#skip > 0) return at;
      }
      const level = this.#levels[this.#depth - 1] as Level;
      if (level.next === level.parts.length) {
        level.next = 0;
        if (--level.timesLeft === 0 && --this.#depth === 0) {
          this.done = true;
          return at;
        }
        continue;
      }
      const next = this.#takePart(level, bytes, at, end);
      if (next === -1) return at;
      at = next;
    }
  }

  #takePart(level: Level, bytes: Buffer, at: number, end: number): number {
    const part = level.parts[level.next] as Part;
    let next = at;
    if (part === 'string') {
      next = takeStringHead(bytes, at, end);
      if (next === -1) return -1;
      this.#skip = length.value;
    } else if (typeof part === 'number') this.#skip = part;
    else if (part === 'length') {
      next = takeLength(bytes, at, end);
      if (next !== -1 && length.isEncoding) throw new Malformed(at, 'a length');
    } else if (part === 'textual double') {
      if (at >= end) return -1;
      const told = bytes[at] as number;
      this.#skip = told < firstUntold ? told : 0;
      next = at + 1;
    } else if (part === 'module values') {
      // The same part again, until the end is read.
      return this.#takeModuleValue(level, bytes, at, end);
    } else {
      next = takeCount(bytes, at, end);
      if (next === -1) return -1;
      level.next++;
      if (length.value > 0) this.#enter(part, length.value);
      return next;
    }
    if (next !== -1) level.next++;
    return next;
  }

  #takeModuleValue(level: Level, bytes: Buffer, at: number, end: number): number {
    const next = takeLength(bytes, at, end);
    if (next === -1) return -1;
    const code = length.isEncoding ? -1 : length.value;
    if (code === moduleCodes.end) {
      level.next++;
      return next;
    }
    if (code === moduleCodes.signed || code === moduleCodes.unsigned) {
      const after = takeLength(bytes, next, end);
      if (after !== -1 && length.isEncoding) throw new Malformed(next, 'a number of a module');
      return after;
    }
    if (code === moduleCodes.float || code === moduleCodes.double) {
      this.#skip = code === moduleCodes.float ? 4 : 8;
      return next;
    }
    if (code !== moduleCodes.string) throw new Malformed(at, 'a value of a module');
    const after = takeStringHead(bytes, next, end);
    if (after !== -1) this.#skip = length.value;
    return after;
  }

  #enter(parts: readonly Part[], times: number): void {
    const level = this.#levels[this.#depth];
    if (level) {
      level.parts = parts;
      level.next = 0;
      level.timesLeft = times;
    } else this.#levels[this.#depth] = { parts, next: 0, timesLeft: times };
    this.#depth++;
  }
}

/* What an RDB reader finds, and the sink that it is given to. */

/** A key and its value. One object is used for all of a file: it is valid during the call only. */
export interface Entry {
  /** Of the value, as the file says. */
  type: number;
  valueType: ValueType;
  db: number;
  /** The key, decoded, is `key[keyFrom .. keyEnd)`. */
  key: Buffer;
  keyFrom: number;
  keyEnd: number;
  /** The value as it stands in the file is `value[valueFrom .. valueEnd)`; large values are not here. */
  value: Buffer;
  valueFrom: number;
  valueEnd: number;
  /** Ms since the epoch; -1: it never expires. */
  deadlineMs: number;
  /** For how long it had not been used, in seconds; -1: not known. */
  idleSeconds: number;
  /** How often it was used, by the server's logarithmic count; -1: not known. */
  frequency: number;
}

/** Where a large value stands in the file, and the checksum of its type and its bytes. */
export interface LargeExtent {
  readonly at: number;
  readonly size: number;
  /** As 16 hex digits. */
  readonly sum: string;
}

export interface RdbSink {
  /** It wants no more at present. */
  readonly isFull: boolean;
  entry(entry: Entry): void;
  /** The next piece of a large value; undefined: it is read again from the file. */
  readonly piece?: ((bytes: Buffer) => Promise<void>) | undefined;
  /** A large value has ended. */
  large(entry: Entry, extent: LargeExtent): Promise<void>;
  /** How many keys the present database has, by the file's own account. */
  announced(keyCount: number): void;
  /** The code of a function library. */
  library(code: Buffer): void;
  /** Something that only a server can take, and how it is called. */
  skipped(what: string): void;
}

const noType: ValueType = { name: 'none', since: 1, parts: [] };

export function newEntry(): Entry {
  const none = Buffer.alloc(0);
  return {
    type: 0,
    valueType: noType,
    db: 0,
    key: none,
    keyFrom: 0,
    keyEnd: 0,
    value: none,
    valueFrom: 0,
    valueEnd: 0,
    deadlineMs: -1,
    idleSeconds: -1,
    frequency: -1,
  };
}
