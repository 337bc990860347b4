/** The tools that the other tests trust: the data set holds what it says, and differences are seen. */
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed, fillStrings, mixedKey, stringValue } from '../../support/bulk.js';
import { differences, snapshot } from '../../support/compare.js';
import { edgeKeys, slotOf } from '../../support/keys.js';
import { fillEveryType } from '../../support/every-type.js';
import { startProxy } from '../../support/proxy.js';
import { type Server, startServer, using } from '../../support/servers.js';

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());
beforeEach(() => server.client.flushall());

describe('the data set', () => {
  it('holds every encoding', async () => {
    await fillEveryType(server.client);
    const keys = await server.client.keysBuffer('*');
    const found = await Promise.all(keys.map((key) => server.client.object('ENCODING', key)));
    // Before 7.0 a listpack was a ziplist.
    expect(new Set(found.map((name) => String(name).replace('ziplist', 'listpack')))).toEqual(
      new Set([
        ...['int', 'embstr', 'raw', 'quicklist', 'listpack', 'hashtable'],
        ...['intset', 'skiplist', 'stream'],
      ]),
    );
  });

  it('holds every edge key', async () => {
    await fillEveryType(server.client);
    expect(await server.client.exists(...edgeKeys)).toBe(edgeKeys.length);
    expect(new Set(edgeKeys.map((key) => key.toString('hex'))).size).toBe(edgeKeys.length);
  });

  it('knows the slots of the specification', () => {
    expect([slotOf('foo'), slotOf('{foo}bar'), slotOf('')]).toEqual([12182, 12182, 0]);
    expect(slotOf('foo{}{bar}')).not.toBe(slotOf('bar'));
    expect(slotOf('foo{{bar}}zap')).toBe(slotOf('{bar'));
  });
});

describe('a snapshot', () => {
  it('equals that of a copy by DUMP and RESTORE', async () => {
    await fillEveryType(server.client);
    const before = await snapshot(server.client);
    await using(startServer(), async (copy) => {
      for (const key of before.keys()) {
        const name = Buffer.from(key, 'latin1');
        const ttlMs = Math.max(0, await server.client.pttl(name));
        const payload = await server.client.dumpBuffer(name);
        await copy.client.call('RESTORE', name, ttlMs, payload);
      }
      expect(differences(before, await snapshot(copy.client))).toEqual([]);
    });
  });

  it.each([
    ['DEL', 'list:short'],
    ['SET', 'another', 'one'],
    ['SET', 'list:short', 'now a string'],
    ['LSET', 'list:long', 4711, 'another'],
    ['HDEL', 'hash:table', 'field 17'],
    ['SREM', 'set:intset', 2],
    ['ZADD', 'zset:skiplist', '2e-300', 'edge 0'],
    ['XACK', 'stream', 'workers', '1-2'],
    ['XGROUP', 'DELCONSUMER', 'stream', 'workers', 'carol, who has read nothing'],
    ['XSETID', 'stream:emptied', '99-2'],
    ['SETBIT', 'bitmap', 18, 1],
    ['PFADD', 'hyperloglog:dense', 'one more', 'and more', 'and more still', 'x', 'y', 'z'],
    ['PERSIST', 'ttl:string'],
    ['EXPIRE', 'string:int', 100],
    ['EXPIRE', 'ttl:hash', 7202],
    ['APPEND', 'string:incompressible', 'x'],
  ])('shows what %s %s changes', async (...change) => {
    await fillEveryType(server.client);
    const before = await snapshot(server.client);
    expect(differences(before, await snapshot(server.client))).toEqual([]);
    const [name, ...args] = change;
    await server.client.call(name, ...args);
    expect(differences(before, await snapshot(server.client))).toHaveLength(1);
  });
});

describe('bulk filling', () => {
  it('makes the keys it says', async () => {
    await fillStrings(server, { count: 30_000, valueBytes: 64 });
    expect(await server.client.dbsize()).toBe(30_000);
    expect(await server.client.get('key:29999')).toBe(stringValue(29_999, 64));
  });

  it('makes mixed types, a third of them with TTLs', async () => {
    await fillMixed(server, 1800);
    expect(await server.client.info('keyspace')).toContain('keys=1800,expires=600');
    const { key, expires } = mixedKey(37);
    expect(expires).toBe((await server.client.ttl(key)) > 0);
  });

  it('fails when the server refuses', async () => {
    await server.client.config('SET', 'maxmemory', '1');
    await expect(fillStrings(server, { count: 10, valueBytes: 1 })).rejects.toThrow('OOM');
    await server.client.config('SET', 'maxmemory', '0');
  });
});

describe('the proxy', () => {
  it('passes, corrupts, and cuts after so many bytes', async () => {
    const proxy = await startProxy(server);
    try {
      const socket = connect(proxy);
      const ask = async (words: string) => {
        socket.write(`${words}\r\n`);
        return String(await once(socket, 'data'));
      };
      expect(await ask('PING')).toBe('+PONG\r\n');
      proxy.faults.corrupt = (chunk) => Buffer.from(chunk.toString().replace('hello', 'HELLO'));
      expect(await ask('ECHO hello')).toContain('HELLO');
      proxy.faults.cutAfterBytes.down = 3;
      const closed = once(socket, 'close');
      expect(await ask('PING')).toBe('+PO');
      await closed;
      expect(proxy.bytes.down).toBe(7 + 11 + 3);
    } finally {
      await proxy.stop();
    }
  });
});
