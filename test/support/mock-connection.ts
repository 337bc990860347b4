/** A connection that is none: it keeps what is sent, and hands out the readers that wait for answers. */
import type { Connection } from '../../src/redis/connection.js';
import type { Output } from '../../src/redis/output.js';
import type { Reader } from '../../src/redis/reply.js';

export interface MockConnection extends Connection {
  readonly readers: Reader[];
  /** Everything that was sent so far, as latin1. */
  sent(): string;
  /** How much it pretends to have unsent, whatever it was given. */
  unsentBytes: number;
  /** Pauses that were not resumed. */
  readonly pauses: number;
  /** Calls back all who wait for the output to drain. */
  drain(): void;
}

export function mockConnection(): MockConnection {
  const pieces: string[] = [];
  const readers: Reader[] = [];
  const waiting: (() => void)[] = [];
  let pauses = 0;

  const keep = (bytes: Buffer, start: number, end: number): void => {
    pieces.push(bytes.toString('latin1', start, end));
  };
  const out: Output = {
    get unsentBytes() {
      return connection.unsentBytes;
    },
    beginHold: () => undefined,
    endHold: () => ({ byteLength: 0, pieces: () => [], release: () => undefined }),
    copy: keep,
    store(prefix, keys, keyStart, keyEnd, between, values, valueStart, valueEnd, suffix) {
      out.append(prefix);
      keep(keys, keyStart, keyEnd);
      out.append(between);
      keep(values, valueStart, valueEnd);
      out.append(suffix);
    },
    askEach(head, { bytes, starts, count }) {
      for (let place = 0; place < count; place++) {
        out.append(head);
        keep(bytes, starts[place] as number, starts[place + 1] as number);
      }
    },
    append: (bytes) => {
      keep(bytes, 0, bytes.length);
    },
    integerFrame: (value) => {
      pieces.push(`$${String(String(value).length)}\r\n${String(value)}\r\n`);
    },
    whenBelow: (_, callback) => waiting.push(callback),
    abandon: () => undefined,
  };
  const connection: MockConnection = {
    address: 'mock:1',
    out,
    dataset: '',
    lost: undefined,
    isOwed: false,
    heardCount: 0,
    pauseCount: 0,
    unsentBytes: 0,
    readers,
    sent: () => pieces.join(''),
    get pauses() {
      return pauses;
    },
    drain() {
      connection.unsentBytes = 0;
      for (const callback of waiting.splice(0)) callback();
    },
    onLost: () => undefined,
    expect: (reader) => readers.push(reader),
    call: () => Promise.reject(new Error('a mock answers nothing')),
    pause: () => pauses++,
    resume: () => pauses--,
    close: () => undefined,
  };
  return connection;
}
