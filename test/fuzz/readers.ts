/**
 * Every reader of the data plane, each with replies that it must accept and a record of what it made
 * of them, by which two runs over the same bytes can be compared.
 */
import * as replies from './replies.js';
import { datedReader } from '../../src/compare/held-values.js';
import { rawReader } from '../../src/compare/raw-replies.js';
import { AckReader, Splice, storeCommands } from '../../src/movers/relay/splice.js';
import { BulksReader, type Reader, ReplyReader } from '../../src/redis/reply.js';
import { PageReader } from '../../src/sources/scan.js';
import { keysOf } from '../support/keys.js';
import { mockConnection } from '../support/mock-connection.js';
import { recordingSink } from '../support/feed.js';
import type { Random } from '../support/random.js';
import { askDeadlines } from '../../src/movers/relay/deadlines.js';

interface Trial {
  readonly reader: Reader;
  /** What it has made of the bytes so far; equal for equal bytes, however they were cut. */
  made(): unknown;
}

export interface Specimen {
  readonly name: string;
  begin(): Trial;
  /** Bytes that it must accept to the last one. */
  valid(random: Random): string;
}

const count = 3;

function bulks(due: number | undefined, shape?: 'array' | 'separate'): Trial {
  const { sink, events } = recordingSink();
  return { reader: new BulksReader(sink, due, shape), made: () => events };
}

function acks(asking: boolean): Trial {
  let ended = false;
  const reader = new AckReader(count, asking, () => (ended = true));
  for (let place = 0; place < count; place++) reader.sent(place);
  reader.complete();
  return { reader, made: () => [reader.refusals, ended] };
}

function splice(): Trial {
  const target = mockConnection();
  let result: unknown;
  const sink = new Splice({
    keys: keysOf('a', '{tag}b', ''),
    source: mockConnection(),
    target,
    acks: new AckReader(count, true, () => undefined),
    form: 'value',
    commands: storeCommands(false, {
      valueDeadlines: true,
      payloadDeadlines: true,
      skewMs: 7,
      largestBytes: 2 ** 29,
    }),
    ttls: Float64Array.of(0, 1_893_456_000_000, 0),
    asking: true,
    settle: (ended) => (result = ended),
    fail: () => undefined,
  });
  return { reader: new BulksReader(sink, count), made: () => [target.sent(), result] };
}

function deadlines(): Trial {
  const source = mockConnection();
  const read = askDeadlines(source, keysOf('a', 'b', 'c'));
  const reader = source.readers[1] as Reader;
  // The clock goes on between two runs.
  return { reader, made: () => Array.from(read.byKey, (ms) => (ms === 0 ? 'never' : 'some day')) };
}

function whole(): Trial {
  const made: unknown[] = [];
  const reader = new ReplyReader(
    (value) => made.push(value),
    () => undefined,
  );
  return { reader, made: () => made };
}

function raw(): Trial {
  const made: unknown[] = [];
  const reader = rawReader(
    count,
    ({ bytes, starts }) => made.push(bytes.toString('latin1'), [...starts.slice(0, count + 1)]),
    () => undefined,
  );
  return { reader, made: () => made };
}

function dated(): Trial {
  const { sink, events } = recordingSink();
  const ttls: number[] = [];
  const reader = datedReader(
    count,
    new BulksReader(sink, count),
    (all) => ttls.push(...all),
    () => undefined,
  );
  return { reader, made: () => [events, ttls] };
}

function page(): Trial {
  const made: unknown[] = [];
  const reader = new PageReader(
    'mock:1/0',
    10,
    ({ cursor, keys }) => made.push(cursor, keys.bytes.toString('latin1'), keys.count),
    (error) => made.push(error.name),
  );
  return { reader, made: () => made };
}

const three = (item: () => string): string[] => replies.many(count, item);
const ack = (random: Random): string =>
  random.oneIn(3) ? random.pick(['$-1\r\n', replies.error(random)]) : '+OK\r\n';

export const specimens: readonly Specimen[] = [
  { name: 'reply', begin: whole, valid: (random) => replies.reply(random) },
  {
    name: 'raw replies',
    begin: raw,
    valid: (random) => three(() => replies.reply(random)).join(''),
  },
  {
    name: 'dated values',
    begin: dated,
    valid: (random) =>
      three(() => {
        const ttl = random.oneIn(5) ? replies.error(random) : `:${random.pick(['-1', '5000'])}\r\n`;
        return ttl + (random.oneIn(5) ? replies.error(random) : replies.bulkOrNil(random));
      }).join(''),
  },
  {
    name: 'bulks',
    begin: () => bulks(count),
    valid: (random) =>
      three(() => (random.oneIn(5) ? replies.error(random) : replies.bulkOrNil(random))).join(''),
  },
  {
    name: 'array of bulks',
    begin: () => bulks(count, 'array'),
    valid: (random) =>
      random.oneIn(8)
        ? replies.error(random)
        : replies.array(three(() => replies.bulkOrNil(random))),
  },
  {
    name: 'splice',
    begin: splice,
    valid: (random) => three(() => replies.bulkOrNil(random)).join(''),
  },
  { name: 'scan page', begin: page, valid: replies.scanPage },
  { name: 'acks', begin: () => acks(false), valid: (random) => three(() => ack(random)).join('') },
  {
    name: 'acks to ASKING',
    begin: () => acks(true),
    valid: (random) => three(() => `+OK\r\n${ack(random)}`).join(''),
  },
  {
    name: 'deadlines',
    begin: deadlines,
    valid: (random) =>
      three(() => `:${random.pick(['-1', '-2', '0', '5000', '9223372036854775807'])}\r\n`).join(''),
  },
];
