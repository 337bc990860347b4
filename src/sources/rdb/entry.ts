/** What an RDB reader finds, and the sink that it is given to. */
import type { ValueType } from './value-types.js';

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
