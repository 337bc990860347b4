/**
 * What the data plane does for a key, part by part, each fed with what servers really send: pages of a
 * thousand keys, values of 256 keys at a time, the nodes' answers to them.
 */
import { randomFillSync } from 'node:crypto';
import type { Topology } from '../../src/types.js';
import { encode } from '../lab/feed.js';
import * as shipped from './shipped.js';
import { blindConnection, bulks, deliver, keysOf } from './wire.js';

const pageKeys = 1000;
const batchKeys = 256;

/** Makes what is needed for so many keys; what it gives back is measured, for that many or fewer. */
export type Case = (mostKeys: number) => (keys: number) => void | Promise<void>;

export const cases: Readonly<Record<string, Case>> = {
  pages,
  batches,
  'values of 64 B': values('value', 64),
  'values of 16 KB': values('value', 16 * 1024),
  'payloads of 64 B': values('payload', 64),
  acks,
};

/** SCAN's replies into runs of keys. */
function pages(): (keys: number) => void {
  const reply = Buffer.concat([Buffer.from('*2\r\n'), bulks(['123456789']), encode(names(0))]);
  return (keys) => {
    for (let done = 0; done < keys; done += pageKeys) {
      deliver(new shipped.PageReader('nowhere', pageKeys, ignore, rethrow), reply);
    }
  };
}

/** Runs of keys into batches for three nodes, each key noted as listed. */
function batches(mostKeys: number): (keys: number) => void {
  const listed = Array.from({ length: mostKeys / pageKeys }, (_, page) =>
    keysOf(names(page * pageKeys)),
  );
  const topology: Topology = {
    nodes: ['a', 'b', 'c'].map((host) => ({ address: `${host}:1`, host, port: 1 })),
    owners: Uint16Array.from({ length: 16_384 }, (_, slot) => Math.floor((slot * 3) / 16_384)),
    refresh: () => Promise.resolve(),
    nodeAt: () => {
      throw new Error('nobody asks for a node');
    },
  };
  return (keys) => {
    const sorter = shipped.batcher({
      topology,
      batchKeys: () => batchKeys,
      batchBytes: 1024 * 1024,
      record: shipped.listingRecord(1_000_000),
      copyWhenListed: () => ({ state: 'unknown' }),
      isServed: () => true,
      anyUnmoved: () => false,
      isUnmoved: () => false,
    });
    for (const page of listed.slice(0, keys / pageKeys)) sorter.add(page);
  };
}

/** The source's replies into commands for a node; and the node's answers. */
function values(form: 'value' | 'payload', bytes: number): Case {
  return () => {
    const keys = keysOf(names(0).slice(0, batchKeys));
    const content = Array.from({ length: batchKeys }, () => randomFillSync(Buffer.alloc(bytes)));
    const reply = form === 'value' ? encode(content) : bulks(content);
    const shape = form === 'value' ? 'array' : 'separate';
    const [source, target] = [blindConnection(), blindConnection()];
    const abilities = {
      valueDeadlines: true,
      payloadDeadlines: true,
      skewMs: 0,
      largestBytes: 2 ** 29,
    };
    const commands = shipped.storeCommands(true, abilities);
    const part = { keys, source, target, form, commands, ttls: undefined, asking: false };
    return async (count) => {
      for (let done = 0; done < count; done += batchKeys) {
        const acks = new shipped.AckReader(batchKeys, false, ignore);
        const sink = new shipped.Splice({ ...part, acks, settle: ignore, fail: rethrow });
        deliver(new shipped.BulksReader(sink, batchKeys, shape), reply);
        // A turn of the event loop, at whose end everything is sent.
        await new Promise(setImmediate);
      }
    };
  };
}

/** A node's answers to a batch. */
function acks(): (keys: number) => void {
  const reply = Buffer.from('+OK\r\n'.repeat(batchKeys));
  return (keys) => {
    for (let done = 0; done < keys; done += batchKeys) {
      const reader = new shipped.AckReader(batchKeys, false, ignore);
      for (let place = 0; place < batchKeys; place++) reader.sent(place);
      reader.complete();
      deliver(reader, reply);
    }
  };
}

function names(first: number): string[] {
  return Array.from({ length: pageKeys }, (_, at) => `key:${String(first + at)}`);
}

function ignore(): void {
  // Nobody waits for it here.
}

function rethrow(error: Error): never {
  throw error;
}
