/** The wire without a network: replies as a server sends them, and a socket that swallows all. */
import type { Socket } from 'node:net';
import type { Connection } from '../../src/redis/connection.js';
import type { Reader } from '../../src/redis/reply.js';
import type { Keys } from '../../src/types.js';
import { encode } from '../lab/feed.js';
import * as shipped from './shipped.js';

/** What one read of a busy socket brings. */
const chunkBytes = 64 * 1024;

/** Offers a reply as it would come: a chunk at a time, what was left before it first. */
export function deliver(reader: Reader, reply: Buffer): void {
  let at = 0;
  for (let end = 0; end < reply.length;) {
    end = Math.min(end + chunkBytes, reply.length);
    at = reader.take(reply, at, end);
  }
  if (!reader.done || at !== reply.length) throw new Error('the reader did not take its reply');
}

/** A connection that sends into nothing, and of which nothing comes by itself. */
export function blindConnection(): Connection {
  const socket = {
    write(_: Buffer, sent: () => void) {
      sent();
      return true;
    },
  };
  const unforeseen = (): never => {
    throw new Error('the data plane does more than it did: bench/micro/wire.ts must follow');
  };
  return {
    address: 'nowhere',
    out: shipped.createOutput(socket as unknown as Socket),
    dataset: '',
    lost: undefined,
    isOwed: false,
    heardCount: 0,
    pauseCount: 0,
    onLost: unforeseen,
    expect: unforeseen,
    call: unforeseen,
    pause: unforeseen,
    resume: unforeseen,
    close: unforeseen,
  };
}

/** Bulk strings, back to back. */
export function bulks(values: readonly (string | Buffer)[]): Buffer {
  const array = encode(values);
  return array.subarray(array.indexOf('\n') + 1);
}

export function keysOf(names: readonly string[]): Keys {
  const starts = new Uint32Array(names.length + 1);
  names.forEach((name, place) => {
    starts[place + 1] = (starts[place] as number) + bulks([name]).length;
  });
  return { bytes: bulks(names), starts, count: names.length };
}
