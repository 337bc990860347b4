/** The words of moving one value element by element. */
import type { Connection } from '../../redis/connection.js';
import type { SliceSize } from './reading.js';
import type { Writer } from './writer.js';

/** What the two servers can do, as far as values differ by it. */
export interface Abilities {
  /** The source has fields with deadlines (HPEXPIRETIME, since 7.4). */
  readonly readsFieldDeadlines: boolean;
  /** The node has (HPEXPIREAT). */
  readonly takesFieldDeadlines: boolean;
  /** The node counts what was ever added to a stream (XSETID … ENTRIESADDED, since 7.0). */
  readonly takesStreamCounts: boolean;
  /** The node makes consumers that have read nothing (XGROUP CREATECONSUMER, since 6.2). */
  readonly createsConsumers: boolean;
  /** The node frees memory in the background (UNLINK, since 4.0). */
  readonly unlinks: boolean;
  /** A version of payloads that the node takes. */
  readonly payloadVersion: number;
  /** The longest element that the node takes. */
  readonly largestBytes: number;
  /** The node's clock minus this machine's. */
  readonly nodeSkewMs: number;
  /** The source's clock minus this machine's. */
  readonly sourceSkewMs: number;
}

/** One key on its way. */
export interface Passage {
  readonly source: Connection;
  readonly key: Buffer;
  readonly writer: Writer;
  /** The name at the node under which the value is put together. */
  readonly temporary: Buffer;
  readonly abilities: Abilities;
  readonly slice: SliceSize;
  /**
   * To be called after each slice was sent: waits until the next may be.
   * @param bytes what the slice weighed.
   */
  readonly sent: (elements: number, bytes: number) => Promise<void>;
}

/**
 * Reads the whole value and sends it.
 * @returns why it can't be moved this way; nothing if it was.
 * @throws RefusedError, ConnectionError.
 */
export type Copier = (passage: Passage) => Promise<string | undefined>;
