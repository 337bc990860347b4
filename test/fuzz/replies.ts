/** Replies as servers send them, as latin1 text: what the fuzzer begins with. */
import type { Random } from '../support/random.js';

const texts = ['OK', 'PONG', 'QUEUED', '', 'Background saving started'];
const errors = [
  'ERR unknown command',
  'MOVED 3999 127.0.0.1:6381',
  'ASK 3999 127.0.0.1:6381',
  'BUSYKEY Target key name already exists.',
  "OOM command not allowed when used memory > 'maxmemory'.",
  'WRONGTYPE Operation against a key holding the wrong kind of value',
];
/** Nearly all replies are small; some are as large as a chunk of the connection, or larger. */
const lengths = [0, 1, 2, 3, 5, 9, 10, 11, 30, 99, 100, 101];

function bytes(random: Random): string {
  if (random.oneIn(20_000)) return 'x'.repeat(random.int(600_000));
  const length = random.pick(lengths);
  let text = '';
  for (let at = 0; at < length; at++) text += String.fromCharCode(random.int(256));
  return text;
}

const bulk = (value: string): string => `$${String(value.length)}\r\n${value}\r\n`;
const status = (random: Random): string => `+${random.pick(texts)}\r\n`;
export const error = (random: Random): string => `-${random.pick(errors)}\r\n`;
const integer = (random: Random): string =>
  `:${random.pick(['0', '-1', '-2', '1', '3600000', '1893456000000', '9223372036854775807'])}\r\n`;

export function bulkOrNil(random: Random): string {
  return random.oneIn(6) ? '$-1\r\n' : bulk(bytes(random));
}

export function array(items: readonly string[]): string {
  return `*${String(items.length)}\r\n${items.join('')}`;
}

export function many(count: number, item: () => string): string[] {
  return Array.from({ length: count }, item);
}

/** Any reply at all. */
export function reply(random: Random, depth = 0): string {
  switch (random.int(depth > 5 ? 5 : 7)) {
    case 0:
      return status(random);
    case 1:
      return error(random);
    case 2:
      return integer(random);
    case 3:
    case 4:
      return bulkOrNil(random);
    case 5:
      return random.oneIn(5) ? '*-1\r\n' : '*0\r\n';
    default:
      return array(many(1 + random.int(3), () => reply(random, depth + 1)));
  }
}

/** What SCAN answers: a cursor and a page of keys. */
export function scanPage(random: Random): string {
  const cursor = random.pick(['0', '7', '1024', '18446744073709551615']);
  return array([bulk(cursor), array(many(random.int(5), () => bulk(bytes(random))))]);
}
