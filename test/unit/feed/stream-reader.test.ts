/** The stream of changes is read whole, whatever pieces it comes in, and every byte of it is counted. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type FrameWords, longestKeptBytes, StreamReader } from '../../../src/feed/changes.js';
import { command } from '../../../src/redis/frames.js';
import { bytesOfAllKinds } from '../../support/keys.js';
import { feed } from '../../support/feed.js';

interface Heard {
  readonly frames: FrameWords[];
  /** Where the stream stood while each command was given. */
  readonly before: number[];
  readonly reader: StreamReader;
  readonly ending: string;
  readonly taken: number;
  readonly error?: Error | undefined;
}

function hear(stream: Buffer, borders?: readonly number[], offset = 1000): Heard {
  const frames: FrameWords[] = [];
  const before: number[] = [];
  const reader: StreamReader = new StreamReader(
    offset,
    (words) => {
      frames.push(words);
      before.push(reader.offset);
    },
    () => undefined,
  );
  const { ending, taken, error } = feed(reader, stream, borders);
  return { frames, before, reader, ending, taken, error };
}

const long = Buffer.alloc(longestKeptBytes + 1, '*3\r\n$');
const commands: readonly (readonly (string | Buffer)[])[] = [
  ['SELECT', '5'],
  ['set', 'a', ''],
  ['ping'],
  ['SET', bytesOfAllKinds, '\r\n*1\r\n$4\r\nping\r\n'],
  ['SET', 'long', 'x'.repeat(300), 'PX', '1'],
  ['REPLCONF', 'GETACK', '*'],
  ['DEL', ...Array.from({ length: 12 }, (_, nth) => String(nth))],
];
const sample = Buffer.concat(commands.map((words) => command(...words)));
const expected = commands.map((words) =>
  words.map((word) => (Buffer.isBuffer(word) ? word.toString('latin1') : word)),
);

it('reads the same commands wherever the stream is cut in two', () => {
  for (let border = 0; border <= sample.length; border++) {
    const { frames, reader } = hear(sample, [border]);
    expect(frames).toEqual(expected);
    expect(reader.offset).toBe(1000 + sample.length);
  }
});

it('reads the same commands byte by byte, and in any other pieces', () => {
  const everywhere = Array.from({ length: sample.length }, (_, at) => at);
  expect(hear(sample, everywhere).frames).toEqual(expected);
  const borders = fc.uniqueArray(fc.nat(sample.length), { maxLength: 30 });
  fc.assert(
    fc.property(borders, (places) => {
      const { frames, reader } = hear(
        sample,
        places.sort((one, other) => one - other),
      );
      expect(frames).toEqual(expected);
      expect(reader.offset).toBe(1000 + sample.length);
    }),
  );
});

it('stands behind the last whole command, wherever the stream ends', () => {
  const ends = commands.map((_, nth) =>
    commands.slice(0, nth + 1).reduce((sum, words) => sum + command(...words).length, 0),
  );
  expect(hear(sample).before).toEqual([1000, ...ends.slice(0, -1).map((end) => 1000 + end)]);
  for (let end = 0; end <= sample.length; end++) {
    const whole = ends.filter((place) => place <= end).at(-1) ?? 0;
    expect(hear(sample.subarray(0, end), [end >> 1]).reader.offset).toBe(1000 + whole);
  }
});

it('passes over what is too long, and keeps what just is not', () => {
  const most = 'k'.repeat(longestKeptBytes);
  const huge = Buffer.alloc(700_000, '\r\n');
  const stream = Buffer.concat([
    command('SET', 'a', huge),
    command('SET', long, long, 'PX', '1'),
    command('SET', most, ''),
  ]);
  const frames = [
    ['SET', 'a', undefined],
    ['SET', undefined, undefined, 'PX', '1'],
    ['SET', most, ''],
  ];
  const nearTheEnd = command('SET', 'a', huge).length;
  for (const borders of [[], [100], [nearTheEnd - 3], [nearTheEnd - 2], [nearTheEnd - 1]]) {
    const heard = hear(stream, borders);
    expect(heard.frames).toEqual(frames);
    expect(heard.reader.offset).toBe(1000 + stream.length);
  }
});

it('counts lone newlines between commands', () => {
  const stream = Buffer.concat([Buffer.from('\n'), command('ping'), Buffer.from('\n\n')]);
  const { frames, reader } = hear(stream, [1, stream.length - 1]);
  expect(frames).toEqual([['ping']]);
  expect(reader.offset).toBe(1000 + 14 + 3);
});

it.each([
  ['an inline command', 'PING\r\n'],
  ['a command without words', '*0\r\n'],
  ['nil', '*-1\r\n'],
  ['a word without a length', '*1\r\n+PING\r\n'],
  ['a word that is nil', '*1\r\n$-1\r\n'],
  ['a word longer than it said', '*1\r\n$3\r\nPING\r\n'],
  ['a long word longer than it said', `*1\r\n$${String(long.length)}\r\n${long.toString()}x\r\n`],
  ['an error', '-NOPERM no right\r\n'],
  ['a header without an end', `*${'1'.repeat(40)}`],
])('refuses %s', (_, text) => {
  expect(hear(Buffer.from(text)).ending).toBe('refused');
});

it('says what the source complained of', () => {
  expect(hear(Buffer.from('-NOPERM no right\r\n')).error?.message).toContain('NOPERM no right');
});
