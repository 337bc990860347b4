/** What an application may do, in all three cases, by many clients at the same time. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { encode } from '../../bench/lab/feed.js';
import type { Server } from './servers.js';

type Unit = (at: number) => readonly (readonly string[])[];

const undeclared = "redis.call('incr', 'total:' .. ARGV[1]) return redis.call('get', KEYS[1])";
const keyless = "return redis.call('set', 'flag:' .. ARGV[1], 1)";
const declared = "redis.call('set', KEYS[1], 1) return redis.call('set', KEYS[2], 1)";
const id = (at: number): string => String(1 + (at % 40));

/** A script's SHA1 as EVALSHA takes it; patterns have the first ten of it. */
const shaOf = (script: string): string => createHash('sha1').update(script).digest('hex');
const short = (script: string): string => shaOf(script).slice(0, 10);
const library = `#!lua name=pairs
redis.register_function('both', function(keys) return redis.call('mset', keys[1], 1, keys[2], 1) end)`;
const selecting = "redis.call('select', 3) return redis.call('get', KEYS[1])";
const names =
  'alice bob carol dave erin frank grace heidi ivan judy mallory niaj olivia peggy rupert sybil'.split(
    ' ',
  );
const nameAt = (at: number): string => names[at % names.length] as string;

/** Each does one thing; together they are played over and over. */
const units: readonly Unit[] = [
  (at) => [['SET', `user:${id(at)}:name`, 'somebody "quoted"\r\n']],
  (at) => [['GET', `user:${id(at)}:name`]],
  (at) => [['DEL', `one:${id(at)}`]],
  (at) => [['MGET', `{user:${id(at)}}:a`, `{user:${id(at)}}:b`]],
  (at) => [['SUNION', `user:${id(at)}:a`, `user:${id(at)}:b`]],
  () => [['MSET', 'config:timeout', '1', 'page:home', '2']],
  (at) => [
    ['SET', `tmp:${id(at)}`, 'x'],
    ['RENAME', `tmp:${id(at)}`, `live:${id(at)}`],
  ],
  (at) => [['ZUNIONSTORE', `top:${id(at)}`, '2', `week:${id(at)}`, `month:${id(at)}`]],
  (at) => [['XREAD', 'COUNT', '1', 'STREAMS', `log:${id(at)}`, 'audit', '0', '0']],
  (at) => [['SORT', `list:${id(at)}`, 'BY', 'nosort', 'STORE', `sorted:${id(at)}`]],
  (at) => [['MULTI'], ['INCR', 'orders'], ['SET', `order:${id(at)}`, 'new'], ['EXEC']],
  (at) => [['WATCH', `stock:${id(at)}`], ['MULTI'], ['SET', `reserved:${id(at)}`, '1'], ['EXEC']],
  (at) => [
    ['MULTI'],
    ['INCR', `{cart:${id(at)}}:items`],
    ['EXPIRE', `{cart:${id(at)}}:total`, '60'],
    ['EXEC'],
  ],
  (at) => [['MULTI'], ['INCR', 'given-up'], ['SET', `given-up:${id(at)}`, '1'], ['DISCARD']],
  (at) => [['EVAL', declared, '2', `{session:${id(at)}}:a`, `{session:${id(at)}}:b`]],
  (at) => [['EVAL', declared, '2', `session:${id(at)}:a`, `session:${id(at)}:b`]],
  (at) => [['EVAL', undeclared, '1', `account:${id(at)}`, id(at)]],
  (at) => [['EVAL', keyless, '0', id(at)]],
  () => [['EVAL', "return redis.call('ping')", '0']],
  () => [['PUBLISH', 'channel', 'message']],
  // A transaction that is given up by the server: nothing of it is run.
  (at) => [
    ['WATCH', `lock:${id(at)}`],
    ['SET', `lock:${id(at)}`, '1'],
    ['MULTI'],
    ['SET', `locked:${id(at)}`, '1'],
    ['EXEC'],
  ],
  (at) => [['MULTI'], ['NO-SUCH-COMMAND'], ['SET', `refused:${id(at)}`, '1'], ['EXEC']],
  (at) => [['EVALSHA', shaOf(declared), '2', `left:${id(at)}`, `right:${id(at)}`]],
  (at) => [['FCALL', 'both', '2', `here:${id(at)}`, `there:${id(at)}`]],
  (at) => [
    ['MULTI'],
    ['EVAL', declared, '2', `{box:${id(at)}}:a`, `{box:${id(at)}}:b`],
    ['SET', `lid:${id(at)}`, '1'],
    ['EXEC'],
  ],
  (at) => [['EVAL', selecting, '1', `cache:${id(at)}`]],
  () => [
    ['SELECT', '3'],
    ['GET', 'somewhere-else'],
    ['SELECT', '0'],
  ],
  () => [['SORT', 'ids', 'BY', 'weight_*', 'GET', 'obj_*']],
  (at) => [['XREADGROUP', 'GROUP', 'streams', 'c', 'STREAMS', `jobs:${id(at)}`, '>']],
  (at) => [
    ['MULTI'],
    ...Array.from({ length: 5 + (at % 3) }, (_, nth) => ['INCR', `{sum}:${String(nth)}`]),
    ['EXEC'],
  ],
  (at) => [['SUNION', `follow:${nameAt(at)}:in`, `follow:${nameAt(at)}:out`]],
];

/** What must be found, as `trouble kind pattern`; `-` where the keys are of one slot. */
export const expectedPatterns: readonly string[] = [
  '- command MGET {user:<n>}:a {user:<n>}:b',
  'cross-slot command SUNION user:<n>:a user:<n>:b',
  'cross-slot command MSET config:timeout page:home',
  'cross-slot command RENAME tmp:<n> live:<n>',
  'cross-slot command ZUNIONSTORE top:<n> week:<n> month:<n>',
  'cross-slot command XREAD log:<n> audit',
  'cross-slot command SORT list:<n> sorted:<n>',
  'cross-slot transaction INCR orders; SET order:<n>',
  'cross-slot transaction WATCH stock:<n>; SET reserved:<n>',
  '- transaction INCR {cart:<n>}:items; EXPIRE {cart:<n>}:total',
  `- script EVAL ${short(declared)} {session:<n>}:a {session:<n>}:b`,
  `cross-slot script EVAL ${short(declared)} session:<n>:a session:<n>:b`,
  `undeclared script EVAL ${short(undeclared)} account:<n> (using total:<n>)`,
  `keyless-script script EVAL ${short(keyless)} (using flag:<n>)`,
  `cross-slot script EVALSHA ${short(declared)} left:<n> right:<n>`,
  'cross-slot script FCALL both here:<n> there:<n>',
  `- script EVAL ${short(declared)} {box:<n>}:a {box:<n>}:b`,
  `cross-slot transaction EVAL ${short(declared)} {box:<n>}:a {box:<n>}:b; SET lid:<n>`,
  `database script EVAL ${short(selecting)} cache:<n> (doing SELECT 3)`,
  'database command SELECT 3',
  'refused command SORT ids BY weight_* GET obj_*',
  '- transaction INCR {sum}:<n>; INCR {sum}:<n>; …',
  'cross-slot command SUNION follow:<name>:in follow:<name>:out',
];

/** Of each of these patterns so many are played for each time that all units are. */
export const unitCount = units.length;

/** Plays so many units, each by one of the clients, and waits for the last answers. */
export async function playWorkload(
  server: Server,
  unitsToPlay: number,
  clients: number,
): Promise<void> {
  await server.client.script('LOAD', declared);
  await server.client.call('FUNCTION', 'LOAD', 'REPLACE', library);
  const sockets = Array.from({ length: clients }, () => connect(server.port, server.host));
  const finished = sockets.map(answersUntilEnd);
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  for (let at = 0; at < unitsToPlay; at++) {
    const unit = units[at % units.length] as Unit;
    // Each client comes to do everything, so that what it leaves behind would show.
    const socket = sockets[(at * 7 + Math.floor(at / 20)) % clients] as Socket;
    for (const words of unit(Math.floor(at / units.length))) {
      // A few bytes at a time, so that the clients' commands come between each other.
      if (!socket.write(encode(words))) await once(socket, 'drain');
    }
    if (at % 500 === 0) await new Promise(setImmediate);
  }
  for (const socket of sockets) socket.write(encode(['ECHO', 'the end']));
  await Promise.all(finished);
}

async function answersUntilEnd(socket: Socket): Promise<void> {
  let tail = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    tail = (tail + chunk.toString('latin1')).slice(-64);
    if (tail.includes('the end')) return;
  }
}
