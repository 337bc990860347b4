import { expect, it } from 'vitest';
import { MonitorFilter } from '../../../src/follow/side-door.js';

/** What a 5.0.14 sent to a connection that had asked for MONITOR, whose own commands are told of as well. */
const told = (words: string): string => `+1764412345.012345 [0 127.0.0.1:40612] ${words}\r\n`;
const answers = [
  ':-2\r\n',
  '$-1\r\n',
  '$0\r\n\r\n',
  // A value that looks like a line of MONITOR.
  `$${String(told('"GET" "a"').length)}\r\n${told('"GET" "a"')}\r\n`,
  '+OK\r\n',
  '+string\r\n',
  '-ERR no such key\r\n',
  '*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n',
  '+1.module-type\r\n'.replace('.', '-'),
];
const sent =
  answers.map((answer, at) => told(`"GET" "${String(at)}"`) + answer).join('') +
  // Of a transaction, before each element.
  `*2\r\n${told('"INCR" "n"')}:1\r\n${told('"GET" "n"')}$1\r\n1\r\n` +
  told('"GET" "\\r\\n$5"');
const wanted = `${answers.join('')}*2\r\n:1\r\n$1\r\n1\r\n`;

it.each([1, 2, 3, 7, 64, 10_000])(
  'leaves out what MONITOR tells, in pieces of %i bytes',
  (size) => {
    const lines = new MonitorFilter();
    const kept: Buffer[] = [];
    const bytes = Buffer.from(sent, 'latin1');
    for (let at = 0; at < bytes.length; at += size) {
      // The buffer that a socket reads into is used again.
      const chunk = Buffer.from(bytes.subarray(at, at + size));
      kept.push(...lines.without(chunk).map((part) => Buffer.from(part)));
      chunk.fill(0);
    }
    expect(Buffer.concat(kept).toString('latin1')).toBe(wanted);
  },
);
