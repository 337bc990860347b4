import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  AckReader,
  Splice,
  type SpliceOptions,
  storeCommands,
} from '../../../../src/movers/relay/splice.js';
import { BulksReader } from '../../../../src/redis/reply.js';
import { command } from '../../../../src/redis/frames.js';
import { feed } from '../../../support/feed.js';
import { mockConnection } from '../../../support/mock-connection.js';
import { keysOf } from '../../../support/keys.js';

const nowMs = 1_700_000_000_000;
const modern = { valueDeadlines: true, payloadDeadlines: true, skewMs: 7, largestBytes: 2 ** 29 };
const old = { valueDeadlines: false, payloadDeadlines: false, skewMs: 7, largestBytes: 2 ** 29 };

type Changes = Partial<SpliceOptions> & { overwrite?: boolean; of?: typeof modern };
type Words = readonly (string | number)[];

function splice(changes: Changes) {
  const source = mockConnection();
  const target = mockConnection();
  const results: unknown[] = [];
  const acks = new AckReader(3, changes.asking ?? false, () => undefined);
  const sink = new Splice({
    keys: keysOf('one', 'two', 'three'),
    source,
    target,
    acks,
    form: 'value',
    commands: storeCommands(changes.overwrite ?? false, changes.of ?? modern),
    ttls: undefined,
    asking: false,
    settle: (result) => results.push(result),
    fail: () => undefined,
    ...changes,
  });
  const reader = new BulksReader(sink, 3);
  const read = (text: string) => feed(reader, Buffer.from(text), [1, 2, 3, 6, 9]);
  const readAtOnce = (text: string) => feed(reader, Buffer.from(text), []);
  return { source, target, acks, results, read, readAtOnce };
}

const words = (...args: Words): string => command(...args).toString('latin1');
const deadline = nowMs + 5000;
const values = '$1\r\nx\r\n$-1\r\n$2\r\nyz\r\n';

describe('a value on its way', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each<[string, Changes, Words, Words]>([
    ['SET', { overwrite: true }, ['SET', 'one', 'x'], ['SET', 'three', 'yz']],
    ['SET NX', {}, ['SET', 'one', 'x', 'NX'], ['SET', 'three', 'yz', 'NX']],
    [
      'SET PXAT, by the clock of the node',
      { overwrite: true, ttls: Float64Array.of(0, 0, deadline) },
      ['SET', 'one', 'x'],
      ['SET', 'three', 'yz', 'PXAT', deadline + 7],
    ],
    [
      'SET NX PXAT',
      { ttls: Float64Array.of(deadline, 0, 0) },
      ['SET', 'one', 'x', 'NX', 'PXAT', deadline + 7],
      ['SET', 'three', 'yz', 'NX'],
    ],
    [
      'SET NX PX with what is left',
      { of: old, ttls: Float64Array.of(deadline, 0, nowMs - 9) },
      ['SET', 'one', 'x', 'NX', 'PX', 5000],
      ['SET', 'three', 'yz', 'NX', 'PX', 1],
    ],
    ['RESTORE', { form: 'payload' }, ['RESTORE', 'one', 0, 'x'], ['RESTORE', 'three', 0, 'yz']],
    [
      'RESTORE REPLACE ABSTTL',
      { form: 'payload', overwrite: true, ttls: Float64Array.of(deadline, 0, 0) },
      ['RESTORE', 'one', deadline + 7, 'x', 'REPLACE', 'ABSTTL'],
      ['RESTORE', 'three', 0, 'yz', 'REPLACE'],
    ],
    [
      'RESTORE with what is left',
      { form: 'payload', of: old, ttls: Float64Array.of(deadline, 0, 0) },
      ['RESTORE', 'one', 5000, 'x'],
      ['RESTORE', 'three', 0, 'yz'],
    ],
  ])('becomes %s', (_, changes, first, second) => {
    vi.useFakeTimers({ now: nowMs });
    for (const how of ['read', 'readAtOnce'] as const) {
      const { target, results, acks, [how]: read } = splice(changes);
      read(values);
      expect(target.sent()).toBe(words(...first) + words(...second));
      expect(results).toEqual([{ absent: [1], refused: undefined, bytes: 3 }]);
      expect(acks.sentCount).toBe(2);
    }
  });

  it('follows an ASKING of its own', () => {
    const { target, read } = splice({ asking: true, overwrite: true });
    read(values);
    const asking = words('ASKING');
    expect(target.sent()).toBe(
      asking + words('SET', 'one', 'x') + asking + words('SET', 'three', 'yz'),
    );
  });

  it('is absent where the source refuses it, and the refusal is told', () => {
    const { results, read } = splice({});
    read('-NOPERM no\r\n$1\r\nx\r\n-ERR other\r\n');
    expect(results).toEqual([{ absent: [0, 2], refused: 'NOPERM no', bytes: 1 }]);
  });

  it('holds the source while its node is behind, once, and lets go again', () => {
    const { source, target, read } = splice({});
    target.unsentBytes = 9 * 1024 * 1024;
    read('$5\r\nab');
    expect(source.pauses).toBe(1);
    target.drain();
    expect(source.pauses).toBe(0);
    read('cde\r\n');
    expect(source.pauses).toBe(0);
  });
});
