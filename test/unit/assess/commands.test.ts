/** What MONITOR shows is read as it was sent, and what keys have in common is found. */
import { expect, it } from 'vitest';
import { parseMonitorLine } from '../../../src/assess/monitor.js';
import { joinShapes, shapeOf, taggedShapes } from '../../../src/assess/key-shapes.js';

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
