/** Every command's changes are named, with their databases. */
import { expect, it, onTestFinished } from 'vitest';
import { Redis } from 'ioredis';
import { edgeKeys } from '../../support/keys.js';
import { waitFor } from '../../support/wait.js';
import { listen, serverFor } from './listening.js';

/** What is there before, what is done, and what must be heard of it (in any order, each once or more). */
const rows: readonly (readonly [before: string, command: string, keys: string])[] = [
  ['', 'SET a 1', '0:a'],
  ['', 'SET a 1 EX 100', '0:a'],
  ['', 'SETEX a 100 1', '0:a'],
  ['', 'MSET a 1 b 2', '0:a 0:b'],
  ['', 'MSETNX a 1 b 2', '0:a 0:b'],
  ['', 'APPEND a 1', '0:a'],
  ['', 'INCRBYFLOAT a 1.5', '0:a'],
  ['SET a 1', 'GETDEL a', '0:a'],
  ['SET a 1', 'GETEX a EX 100', '0:a'],
  ['SET a 1', 'GETSET a 2', '0:a'],
  ['', 'SETRANGE a 3 x', '0:a'],
  ['', 'SETBIT a 3 1', '0:a'],
  ['', 'BITFIELD a SET u8 0 1', '0:a'],
  ['MSET a 1 b 2', 'BITOP AND to a b', '0:to'],
  ['SET a 1', 'DEL a', '0:a'],
  ['MSET a 1 b 2', 'UNLINK a b c', '0:a 0:b 0:c'],
  ['SET a 1', 'EXPIRE a 100', '0:a'],
  ['SET a 1', 'EXPIREAT a 1', '0:a'],
  ['SET a 1 EX 100', 'PERSIST a', '0:a'],
  ['SET a 1', 'RENAME a b', '0:a 0:b'],
  ['SET a 1', 'RENAMENX a b', '0:a 0:b'],
  ['SET a 1', 'COPY a b', '0:b'],
  ['SET a 1', 'COPY a b DB 3', '3:b'],
  ['SET a 1', 'MOVE a 3', '0:a 3:a'],
  ['SELECT 2;SET a 1', 'MOVE a 3', '2:a 3:a'],
  ['', 'LPUSH a 1', '0:a'],
  ['RPUSH a 1 2', 'LPOP a', '0:a'],
  ['RPUSH a 1 2', 'RPOP a 2', '0:a'],
  ['RPUSH a 1 2', 'LSET a 0 x', '0:a'],
  ['RPUSH a 1 2', 'LTRIM a 1 1', '0:a'],
  ['RPUSH a 1 2', 'LREM a 0 1', '0:a'],
  ['RPUSH a 1 2', 'LINSERT a BEFORE 1 0', '0:a'],
  ['RPUSH a 1 2', 'RPOPLPUSH a b', '0:a 0:b'],
  ['RPUSH a 1 2', 'LMOVE a b LEFT RIGHT', '0:a 0:b'],
  ['RPUSH a 1 2', 'BLMOVE a b LEFT RIGHT 1', '0:a 0:b'],
  ['RPUSH a 1 2', 'BRPOPLPUSH a b 1', '0:a 0:b'],
  ['RPUSH b 1 2', 'BLPOP a b 1', '0:b'],
  ['RPUSH b 1 2', 'LMPOP 2 a b LEFT', '0:b'],
  ['RPUSH b 1 2', 'BLMPOP 1 2 a b LEFT COUNT 2', '0:b'],
  ['RPUSH a 2 1', 'SORT a STORE to', '0:to'],
  ['', 'SADD a 1', '0:a'],
  ['SADD a 1 2', 'SREM a 1', '0:a'],
  ['SADD a 1 2', 'SPOP a', '0:a'],
  ['SADD a 1 2', 'SPOP a 2', '0:a'],
  ['SADD a 1 2', 'SMOVE a b 1', '0:a 0:b'],
  ['SADD a 1 2', 'SUNIONSTORE to a b', '0:to'],
  ['SADD a 1 2', 'SDIFFSTORE to a b', '0:to'],
  ['SADD to 1 2', 'SINTERSTORE to a b', '0:to'],
  ['', 'ZADD a 1 m', '0:a'],
  ['ZADD a 1 m', 'ZINCRBY a 1 m', '0:a'],
  ['ZADD a 1 m', 'ZREM a m', '0:a'],
  ['ZADD a 1 m', 'ZREMRANGEBYSCORE a 0 2', '0:a'],
  ['ZADD a 1 m', 'ZPOPMIN a', '0:a'],
  ['ZADD b 1 m', 'BZPOPMAX a b 1', '0:b'],
  ['ZADD b 1 m', 'ZMPOP 2 a b MIN', '0:b'],
  ['ZADD b 1 m', 'BZMPOP 1 2 a b MIN', '0:b'],
  ['ZADD a 1 m', 'ZUNIONSTORE to 2 a b', '0:to'],
  ['ZADD a 1 m', 'ZDIFFSTORE to 2 a b', '0:to'],
  ['ZADD a 1 m;ZADD b 1 m', 'ZINTERSTORE to 2 a b WEIGHTS 1 2', '0:to'],
  ['ZADD a 1 m', 'ZRANGESTORE to a 0 -1', '0:to'],
  ['', 'GEOADD a 1 2 m', '0:a'],
  ['GEOADD a 1 2 m', 'GEORADIUS a 1 2 9 km STORE to', '0:to'],
  ['GEOADD a 1 2 m', 'GEOSEARCHSTORE to a FROMMEMBER m BYRADIUS 9 km', '0:to'],
  ['', 'HSET a f 1', '0:a'],
  ['HSET a f 1', 'HDEL a f', '0:a'],
  ['HSET a f 1', 'HINCRBYFLOAT a f 1.5', '0:a'],
  ['', 'PFADD a 1', '0:a'],
  ['PFADD a 1;PFADD b 2', 'PFMERGE to a b', '0:to'],
  ['', 'XADD a * f v', '0:a'],
  ['XADD a 1-1 f v', 'XDEL a 1-1', '0:a'],
  ['XADD a 1-1 f v', 'XTRIM a MAXLEN 0', '0:a'],
  ['XADD a 1-1 f v', 'XSETID a 9-9', '0:a'],
  ['XADD a 1-1 f v', 'XGROUP CREATE a g 0', '0:a'],
  ['XADD a 1-1 f v;XGROUP CREATE a g 0', 'XREADGROUP GROUP g c STREAMS a >', '0:a'],
  ['XADD a 1-1 f v;XGROUP CREATE a g 0;XREADGROUP GROUP g c STREAMS a >', 'XACK a g 1-1', '0:a'],
  [
    'XADD a 1-1 f v;XGROUP CREATE a g 0;XREADGROUP GROUP g c STREAMS a >',
    'XCLAIM a g d 0 1-1',
    '0:a',
  ],
  [
    'XADD a 1-1 f v;XGROUP CREATE a g 0;XREADGROUP GROUP g c STREAMS a >',
    'XAUTOCLAIM a g d 0 0',
    '0:a',
  ],
  ['', 'MULTI;SET a 1;SELECT 4;SET b 1;EXEC', '0:a 4:b'],
  [
    '',
    "EVAL redis.call('set','undeclared',1)redis.call('select',6)redis.call('set','b',1) 0",
    '0:undeclared 6:b',
  ],
  ['', 'SELECT 5;SET a 1;SELECT 0;SET a 1', '5:a 0:a'],
  ['SELECT 5;SET a 1', 'FLUSHDB', '5:*'],
  ['SET a 1', 'FLUSHALL', '*:*'],
  ['SET a 1', 'SWAPDB 0 7', '0:* 7:*'],
  ['SET a 1', 'GET a', ''],
  ['', 'PUBLISH a b', ''],
  ['', 'SPUBLISH a b', ''],
  ['', 'SCRIPT FLUSH', ''],
  ['', 'FUNCTION FLUSH', ''],
];

it('names every key of every command', async () => {
  const server = await serverFor();
  const { since, reasons } = await listen(server);
  const client = new Redis(server.port, server.host, { protocol: 2, disableClientInfo: true });
  onTestFinished(() => {
    client.disconnect();
  });
  const run = async (lines: string): Promise<void> => {
    for (const line of lines.split(';').filter((text) => text !== '')) {
      // A script holds spaces nowhere but in front of the number of its keys.
      await client.call(...(line.split(' ') as [string]));
    }
  };
  for (const [before, commands, keys] of rows) {
    await run('SELECT 0;FLUSHALL');
    await run(before);
    await since();
    await run(commands);
    const found = new Set(await since());
    // What SORT and GEORADIUS read is named as well.
    if (/^(SORT|GEORADIUS)/.test(commands)) found.delete('0:a');
    expect([...found].sort(), commands).toEqual(
      keys
        .split(' ')
        .filter((key) => key !== '')
        .sort(),
    );
  }
  expect(reasons.join()).not.toMatch(/unknown|not known/);
});

it('names keys that nobody touched: expired, and popped for a client that waited', async () => {
  const server = await serverFor();
  const { changes, since } = await listen(server);
  await server.client.call('SELECT', '3');
  await server.client.set('short', '1', 'PX', 1);
  await waitFor('the expiry', () => changes.filter((change) => change === '3:short').length === 2);
  const waiting = server.client.duplicate({ db: 0 });
  onTestFinished(() => {
    waiting.disconnect();
  });
  const popped = waiting.blpop('list', 100);
  await waitFor('a client that waits', async () =>
    /blocked_clients:1/.test(await server.client.info('clients')),
  );
  await since();
  await server.client.call('SELECT', '0');
  await server.client.rpush('list', 'a');
  await popped;
  expect(await since()).toEqual(['0:list', '0:list']);
});

it('names keys of any bytes, and everything where a name is longer than is kept', async () => {
  const server = await serverFor();
  const { since, reasons } = await listen(server);
  for (const key of edgeKeys) await server.client.set(key, Buffer.alloc(100_000, 'x'));
  const expected = edgeKeys.map((key) => `0:${key.toString('latin1')}`);
  expect(await since()).toEqual(expected);
  await server.client.set('k'.repeat(100_000), 'x');
  expect(await since()).toEqual(['0:*']);
  expect(reasons[0]).toMatch(/too long/);
});

it('knows the keys without COMMAND', async () => {
  const server = await serverFor(['rename-command COMMAND ""']);
  const { since } = await listen(server);
  await server.client.mset('a', '1', 'b', '2');
  await server.client.rename('a', 'c');
  await server.client.sadd('x', 'm');
  await server.client.sunionstore('to', 'x', 'y');
  await server.client.del('b', 'c');
  expect(await since()).toEqual(['0:a', '0:b', '0:a', '0:c', '0:x', '0:to', '0:b', '0:c']);
});
