/** What MONITOR shows is read as it was sent, and every command's keys are found. */
import { expect, it } from 'vitest';
import { keyFinder } from '../../../src/assess/key-positions.js';
import { parseMonitorLine } from '../../../src/assess/monitor-lines.js';
import { joinShapes, shapeOf, taggedShapes } from '../../../src/assess/key-shapes.js';

const row = (name: string, first: number, last: number, step: number) => [
  Buffer.from(name),
  0,
  [],
  first,
  last,
  step,
];
const keysOf = keyFinder([
  row('get', 1, 1, 1),
  row('mget', 1, -1, 1),
  row('mset', 1, -1, 2),
  row('blpop', 1, -2, 1),
  row('rename', 1, 2, 1),
  row('bitop', 2, -1, 1),
  row('ping', 0, 0, 0),
  row('eval', 0, 0, 0),
]);

it.each([
  ['GET a', ['a']],
  ['MGET a b c', ['a', 'b', 'c']],
  ['mset a 1 b 2', ['a', 'b']],
  ['BLPOP a b 10', ['a', 'b']],
  ['BITOP AND to a b', ['to', 'a', 'b']],
  ['PING', []],
  ['EVAL script 2 a b c', ['a', 'b']],
  ['EVALSHA sha 0 a', []],
  ['FCALL f 1 a b', ['a']],
  ['ZUNIONSTORE to 2 a b WEIGHTS 1 2', ['to', 'a', 'b']],
  ['ZUNION 2 a b', ['a', 'b']],
  ['LMPOP 2 a b LEFT', ['a', 'b']],
  ['BLMPOP 0 2 a b LEFT', ['a', 'b']],
  ['XREADGROUP GROUP g c COUNT 5 STREAMS a b 0 0', ['a', 'b']],
  ['XREADGROUP GROUP streams c STREAMS s:1 >', ['s:1']],
  ['XREAD COUNT 1 BLOCK 5 STREAMS streams 0', ['streams']],
  ['SORT a BY nosort STORE to', ['a', 'to']],
  ['SORT store BY store GET store STORE to', ['store', 'to']],
  ['MIGRATE h 1  0 5 AUTH keys KEYS a b', ['a', 'b']],
  ['MIGRATE h 1 a 0 5 AUTH keys', ['a']],
  ['STRALGO LCS KEYS a b LEN', ['a', 'b']],
  ['GEORADIUS a 1 2 3 km STOREDIST to', ['a', 'to']],
  ['OBJECT ENCODING a', ['a']],
  ['XGROUP CREATE a g 0', ['a']],
  ['MEMORY USAGE a', ['a']],
  ['MEMORY DOCTOR', []],
  ['EVAL script 9 a', ['a']],
])('finds the keys of %s', (words, keys) => {
  expect(keysOf(words.split(' '))).toEqual(keys);
});

it('does not know commands that nobody told it of, and guesses only where COMMAND is forbidden', () => {
  expect(keysOf(['MODULE.DO', 'a'])).toBeUndefined();
  expect(keyFinder('-NOPERM')(['GET', 'a'])).toEqual(['a']);
});

it('reads lines of MONITOR, quotes and bytes within', () => {
  expect(
    parseMonitorLine(String.raw`1.5 [3 10.0.0.1:99] "set" "a \"b\" \\" "\x00\xff\r\n"`),
  ).toEqual({
    db: 3,
    client: '10.0.0.1:99',
    words: ['set', 'a "b" \\', '\x00\xff\r\n'],
  });
  expect(parseMonitorLine('1.5 [0 lua] "get" ""')).toMatchObject({
    client: 'lua',
    words: ['get', ''],
  });
  expect(parseMonitorLine('1.5 [0 unix:/tmp/a b.sock] "get"')?.client).toBe('unix:/tmp/a b.sock');
  expect(parseMonitorLine('OK')).toBeUndefined();
});

it('folds what varies, and finds what keys have in common', () => {
  expect(shapeOf('user:17:friends')).toBe('user:<n>:friends');
  expect(shapeOf('s:550e8400-e29b-41d4-a716-446655440000:x')).toBe('s:<id>:x');
  expect(shapeOf('\u001b[2J')).toBe('\\u001b[<n>J');
  expect(taggedShapes(['user:17:a', 'seen:17'])).toEqual(['user:{<n>}:a', 'seen:{<n>}']);
  expect(taggedShapes(['{user:17}:a', 'user:18:b'])).toBeUndefined();
  expect(joinShapes(['a', 'b', 'b', 'b', 'b'])).toBe('a b b …');
});
