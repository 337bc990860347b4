/**
 * Payloads of DUMP for nodes that refuse their version, and know their types all the same.
 *
 * What a payload's body means depends on its type, the first byte. The version behind it is only compared with
 * the newest that a server knows (verifyDumpPayload in Redis' cluster.c), and Redis and Valkey count theirs
 * apart. So a payload gets another trailer: a version that the node takes, and the checksum over it.
 *
 * That checksum needs no look at the body. A CRC is linear: that of a payload whose version differs in some
 * bits differs from the old one by the CRC of these bits alone. So the same ten bytes are laid over every
 * trailer by XOR. And a body that was damaged before it came here is still found out by the node.
 */
import type { FrameSink } from '../../redis/reply.js';
import { bulkHead, payloadTrailerBytes } from '../../redis/frames.js';
import type { Splice } from './splice.js';

export interface PayloadRewrite {
  /** The version that payloads get. */
  readonly version: number;
  /** By the number of a type: 1, if all nodes have taken a payload of it under that version. */
  readonly types: Uint8Array;
  /** What is laid over the trailer of each payload. */
  readonly mask: Uint8Array;
}

const crlfBytes = 2;

/** Whether a payload may be passed on with another trailer. */
export function isRewritable({ types }: PayloadRewrite, payload: Buffer): boolean {
  return payload.length > payloadTrailerBytes && types[payload[0] as number] === 1;
}

/** The same payload with the other trailer; to be called if it is rewritable. */
export function rewritten(rewrite: PayloadRewrite, payload: Buffer): Buffer {
  const other = Buffer.from(payload);
  const trailerAt = payload.length - payloadTrailerBytes;
  overlay(rewrite.mask, 0, other, trailerAt, other.length);
  return other;
}

function overlay(mask: Uint8Array, from: number, bytes: Buffer, at: number, end: number): void {
  for (let index = at; index < end; index++) {
    bytes[index] = (bytes[index] as number) ^ (mask[from + index - at] as number);
  }
}

/** Gives payloads their other trailer on their way into a splice; those of other types are left out. */
export class RewritingSink implements FrameSink {
  readonly #splice: Splice;
  readonly #types: Uint8Array;
  readonly #mask: Uint8Array;
  #valueBytes = 0;
  /** Where the next byte stands in the payload; below 0: in the header of its frame. */
  #at = 0;
  #hasBegun = false;
  #isLeftOut = false;

  constructor(splice: Splice, { types, mask }: PayloadRewrite) {
    this.#splice = splice;
    this.#types = types;
    this.#mask = mask;
  }

  whole(bytes: Buffer, start: number, end: number, valueBytes: number): void {
    const payloadEnd = end - crlfBytes;
    if (!this.#isKnown(bytes[payloadEnd - valueBytes] as number, valueBytes)) {
      this.#splice.leaveOut();
      return;
    }
    // What has come from the source is ours, and is looked at once.
    overlay(this.#mask, 0, bytes, payloadEnd - payloadTrailerBytes, payloadEnd);
    this.#splice.whole(bytes, start, end, valueBytes);
  }

  open(valueBytes: number): void {
    this.#valueBytes = valueBytes;
    this.#at = -bulkHead(valueBytes).length;
    this.#hasBegun = false;
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    let from = start;
    if (!this.#hasBegun) {
      // Whether a command begins here depends on the type, which comes behind the header.
      const headerLeft = Math.min(-this.#at, end - start);
      this.#at += headerLeft;
      from += headerLeft;
      if (from === end) return;
      this.#begin(bytes[from] as number);
    }
    const trailerAt = this.#valueBytes - payloadTrailerBytes;
    const first = Math.max(this.#at, trailerAt);
    const last = Math.min(this.#at + end - from, this.#valueBytes);
    if (!this.#isLeftOut && first < last) {
      const shift = from - this.#at;
      overlay(this.#mask, first - trailerAt, bytes, first + shift, last + shift);
    }
    this.#at += end - from;
    if (!this.#isLeftOut) this.#splice.bytes(bytes, from, end);
  }

  shut(): void {
    if (this.#isLeftOut) this.#splice.leaveOut();
    else this.#splice.shut();
  }

  nil(): void {
    this.#splice.nil();
  }

  refused(text: string): void {
    this.#splice.refused(text);
  }

  end(): void {
    this.#splice.end();
  }

  fail(error: Error): void {
    this.#splice.fail(error);
  }

  #begin(type: number): void {
    const valueBytes = this.#valueBytes;
    this.#hasBegun = true;
    this.#isLeftOut = !this.#isKnown(type, valueBytes);
    if (this.#isLeftOut) return;
    const header = bulkHead(valueBytes);
    this.#splice.open(valueBytes);
    this.#splice.bytes(header, 0, header.length);
  }

  #isKnown(type: number, valueBytes: number): boolean {
    return valueBytes > payloadTrailerBytes && this.#types[type] === 1;
  }
}
