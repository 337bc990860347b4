/** Every command's keys are found, or it is said that they are not known. */
import { expect, it } from 'vitest';
import { keyFinder, placesByCommand } from '../../../src/redis/command-keys.js';

const row = (name: string, first: number, last: number, step: number, ...flags: string[]) => [
  Buffer.from(name),
  0,
  flags,
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
  ['MSETEX 2 a 1 b 2 EX 10', ['a', 'b']],
  ['msetex 9 a 1', ['a']],
  ['SWAPDB 0 1', []],
])('finds the keys of %s', (words, keys) => {
  expect(keysOf(words.split(' '))).toEqual(keys);
});

it('does not know commands that nobody told it of, and guesses only where COMMAND is forbidden', () => {
  expect(keysOf(['MODULE.DO', 'a'])).toBeUndefined();
  expect(keyFinder('-NOPERM')(['GET', 'a'])).toEqual(['a']);
});

it('does not guess where a command writes to keys whose places nobody told', () => {
  const placesOf = placesByCommand([
    row('mod.move', 1, 1, 1, 'write', 'movablekeys'),
    row('mod.all', 0, 0, 0, 'write'),
    row('mod.read', 0, 0, 0, 'readonly'),
    row('sort_ro', 1, 1, 1, 'readonly', 'movablekeys'),
    row('sort', 1, 1, 1, 'write', 'movablekeys'),
  ]);
  expect(placesOf('mod.move')).toBeUndefined();
  expect(placesOf('mod.all')).toBeUndefined();
  expect(placesOf('mod.read')?.(['mod.read', 'a'])).toEqual([]);
  expect(placesOf('sort_ro')?.(['sort_ro', 'a'])).toEqual([1]);
  expect(placesOf('sort')?.(['sort', 'a', 'store', 'b'])).toEqual([1, 3]);
  expect(placesOf('constructor')).toBeUndefined();
});

it.each([
  ['DEL a b c', ['a', 'b', 'c']],
  ['UNLINK a b', ['a', 'b']],
  ['MSET a 1 b 2', ['a', 'b']],
  ['MSETNX a 1 b 2', ['a', 'b']],
  ['RENAME a b', ['a', 'b']],
  ['SMOVE a b m', ['a', 'b']],
  ['LMOVE a b LEFT LEFT', ['a', 'b']],
  ['BRPOPLPUSH a b 1', ['a', 'b']],
  ['BITOP NOT a b', ['a', 'b']],
  ['SDIFFSTORE a b c', ['a', 'b', 'c']],
  ['ZDIFFSTORE a 1 b', ['a', 'b']],
  ['ZRANGESTORE a b 0 1', ['a', 'b']],
  ['COPY a b', ['a', 'b']],
  ['PFMERGE a b', ['a', 'b']],
  ['XGROUP DESTROY a g', ['a']],
  ['SET a 1', ['a']],
])('finds the keys of %s where COMMAND is forbidden', (words, keys) => {
  expect(keyFinder(null)(words.split(' '))).toEqual(keys);
  const places = placesByCommand(null)(words.split(' ', 1)[0]?.toLowerCase() ?? '');
  expect(places?.(words.split(' ')).map((place) => words.split(' ')[place])).toEqual(keys);
});
