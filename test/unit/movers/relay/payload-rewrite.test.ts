import { describe, expect, it } from 'vitest';
import { AckReader, Splice, storeCommands } from '../../../../src/movers/relay/splice.js';
import {
  isRewritable,
  type PayloadRewrite,
  rewritten,
  RewritingSink,
} from '../../../../src/movers/relay/payload-rewrite.js';
import { maskOf, payloadOf } from '../../../../src/plan/payloads.js';
import { BulksReader } from '../../../../src/redis/reply.js';
import { command, frame } from '../../../../src/redis/frames.js';
import { feed } from '../../../support/feed.js';
import { keysOf } from '../../../support/keys.js';
import { mockConnection } from '../../../support/mock-connection.js';

const known = 4;
const unknown = 24;
const types = new Uint8Array(256);
types[known] = 1;
const bodyOf = (type: number, bytes: number): Buffer =>
  Buffer.from([type, ...Array.from({ length: bytes }, (_, at) => (at * 7) % 256)]);

/** What of these payloads is sent to the node when they arrive cut at these places. */
function passed(rewrite: PayloadRewrite, payloads: readonly Buffer[], borders: readonly number[]) {
  const target = mockConnection();
  const results: unknown[] = [];
  const sink = new Splice({
    keys: keysOf('one', 'two', 'three'),
    source: mockConnection(),
    target,
    acks: new AckReader(3, false, () => undefined),
    form: 'payload',
    commands: storeCommands(true, {
      valueDeadlines: true,
      payloadDeadlines: true,
      skewMs: 0,
      largestBytes: 2 ** 29,
    }),
    ttls: undefined,
    asking: false,
    settle: (result) => results.push(result),
    fail: () => undefined,
  });
  const reader = new BulksReader(new RewritingSink(sink, rewrite), 3);
  const { ending } = feed(reader, Buffer.concat(payloads.map(frame)), borders);
  expect(ending).toBe('done');
  return { text: target.sent(), results };
}

describe.each([
  [12, 11],
  [80, 11],
  [80, 12],
  [12, 10],
  [81, 80],
])('a payload of version %i for a node that takes %i', (from, to) => {
  const rewrite: PayloadRewrite = { version: to, types, mask: maskOf(from, to) };

  it('is what the node would have made itself', () => {
    for (const bytes of [1, 9, 300]) {
      const body = bodyOf(known, bytes);
      expect(rewritten(rewrite, payloadOf(body, from))).toEqual(payloadOf(body, to));
    }
  });

  it('is sent so, wherever the network cuts it, and one of another type is not', () => {
    const bodies = [bodyOf(known, 20), bodyOf(unknown, 20), bodyOf(known, 1)];
    const payloads = bodies.map((body) => payloadOf(body, from));
    const wanted = ['one', 'three'].map((name, at) =>
      command('RESTORE', name, 0, payloadOf(bodies[at * 2] as Buffer, to), 'REPLACE'),
    );
    const text = Buffer.concat(wanted).toString('latin1');
    const length = payloads.reduce((sum, payload) => sum + frame(payload).length, 0);
    for (let first = 0; first < length; first++) {
      for (const borders of [[first], [first, first + 1], [first, first + 11]]) {
        const found = passed(rewrite, payloads, borders);
        expect(found.text).toBe(text);
        expect(found.results).toEqual([
          expect.objectContaining({ absent: [], foreign: [1], oversized: undefined }),
        ]);
      }
    }
  });

  it('is sent so when it is larger than what is looked at as a whole', () => {
    const bodies = [bodyOf(unknown, 40_000), bodyOf(known, 40_000), bodyOf(known, 9000)];
    const payloads = bodies.map((body) => payloadOf(body, from));
    const wanted = ['two', 'three'].map((name, at) =>
      command('RESTORE', name, 0, payloadOf(bodies[at + 1] as Buffer, to), 'REPLACE'),
    );
    const found = passed(rewrite, payloads, [3, 40_015, 70_000, 80_026, 80_030]);
    expect(found.text === Buffer.concat(wanted).toString('latin1')).toBe(true);
    expect(found.results).toEqual([expect.objectContaining({ foreign: [0] })]);
  });
});

it('what is no payload is not taken for one', () => {
  const rewrite = { version: 11, types, mask: maskOf(12, 11) };
  expect(isRewritable(rewrite, Buffer.from([known, 1, 2]))).toBe(false);
  expect(isRewritable(rewrite, payloadOf(bodyOf(unknown, 5), 12))).toBe(false);
  expect(isRewritable(rewrite, payloadOf(bodyOf(known, 5), 12))).toBe(true);
});
