/** Keys leave the source only if nobody wrote to them: what notices that, against real servers. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { guardedRemoval } from '../../../src/movers/relay/guard-by-counter.js';
import { watchedRemoval } from '../../../src/movers/relay/guard-by-watch.js';
import { plainRemoval, type Removal } from '../../../src/movers/relay/removal.js';
import { connect, type Connection } from '../../../src/redis/connection.js';
import { frame, keysBuilder } from '../../../src/redis/frames.js';
import type { Keys } from '../../../src/types.js';
import { startCluster } from '../../support/cluster.js';
import { type Server, startServer } from '../../support/servers.js';

let server: Server;
let line: Connection;

const open = ({ host, port }: Pick<Server, 'host' | 'port'>): Promise<Connection> =>
  connect({ host, port, tls: false, db: 0 }, { timeoutMs: 10_000 });

beforeAll(async () => {
  server = await startServer();
  line = await open(server);
});
afterAll(async () => {
  line.close();
  await server.stop();
});
beforeEach(() => server.client.flushall());

function keysOf(...names: readonly string[]): Keys {
  const builder = keysBuilder(names.length);
  for (const name of names) {
    const bytes = frame(Buffer.from(name));
    builder.add(bytes, 0, bytes.length);
  }
  return builder.take();
}

/** What was asked for on the line is answered. */
const settled = (): Promise<unknown> => line.call('PING');
const anyNumber = { sameSlot: false, limitKeys: () => 1000 };

describe('the write counter', () => {
  it('notices writes that are just as many as the keys of the batch ahead', async () => {
    const removal = guardedRemoval(line, 'UNLINK', anyNumber);
    await server.client.mset('a1', '1', 'a2', '1', 'a3', '1', 'b1', '1');
    const [one, other] = [keysOf('a1', 'a2', 'a3'), keysOf('b1')];
    const tickets = [removal.begin(one), removal.begin(other)] as const;
    await settled();
    for (let time = 0; time < one.count; time++) await server.client.incr('b1');
    const removed = await Promise.all([
      removal.remove(one, tickets[0]),
      removal.remove(other, tickets[1]),
    ]);
    const kept = { indexes: undefined, why: 'changed' };
    expect(removed).toEqual([kept, kept]);
    expect(await server.client.get('b1')).toBe('4');
  });

  it('takes keys that have gone by themselves for no write', async () => {
    const removal = guardedRemoval(line, 'UNLINK', anyNumber);
    await server.client.mset('a', '1', 'b', '1', 'c', '1');
    const tickets = ['a', 'gone', 'b', 'c'].map((name) => {
      const keys = keysOf(name);
      return { keys, ticket: removal.begin(keys) };
    });
    await settled();
    const removed = tickets.map(({ keys, ticket }) => removal.remove(keys, ticket));
    expect(await Promise.all(removed)).toEqual(Array(4).fill('removed'));
    expect(await server.client.dbsize()).toBe(0);
  });

  it('goes on after the source has forgotten the script, and asks nothing for no keys', async () => {
    const removal = guardedRemoval(line, 'UNLINK', anyNumber);
    await server.client.set('a', '1');
    const ticket = removal.begin(keysOf('a'));
    await settled();
    await server.client.script('FLUSH');
    expect(await removal.remove(keysOf(), ticket)).toBe('removed');
    expect(await removal.remove(keysOf('a'), ticket)).toBe('removed');
    expect(await plainRemoval(line, 'UNLINK', false).remove(keysOf(), ticket)).toBe('removed');
  });

  it('tells which keys a node of a cluster would not delete', async () => {
    const cluster = await startCluster({ masters: 2 });
    try {
      const [here, there] = cluster.masters as [Server & { id: string }, Server & { id: string }];
      const names = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight'];
      const slots = await Promise.all(names.map((name) => here.client.cluster('KEYSLOT', name)));
      const own = names.filter((_, at) => Number(slots[at]) < 8192);
      const [asked] = own as [string];
      const slot = slots[names.indexOf(asked)] as number;
      for (const name of own) await here.client.set(name, '1');
      await there.client.cluster('SETSLOT', slot, 'IMPORTING', here.id);
      await here.client.cluster('SETSLOT', slot, 'MIGRATING', there.id);
      await here.client.del(asked);
      const source = await open(here);
      for (const removal of [
        guardedRemoval(source, 'UNLINK', { ...anyNumber, sameSlot: true }),
        plainRemoval(source, 'UNLINK', true),
      ]) {
        const ticket = removal.begin(keysOf(...own));
        await source.call('PING');
        const removed = await removal.remove(keysOf(...own), ticket);
        expect(removed).toMatchObject({ indexes: [0] });
      }
      expect(await here.client.dbsize()).toBe(0);
      source.close();
    } finally {
      await cluster.stop();
    }
  });
});

describe('WATCH', () => {
  const watching = (silentPersist = false): Removal =>
    watchedRemoval(line, { word: 'UNLINK', scripts: true, silentPersist });

  async function fillStream(): Promise<void> {
    const { client } = server;
    for (const field of ['a', 'b', 'c']) await client.xadd('stream', '*', field, '1');
    await client.xgroup('CREATE', 'stream', 'group', '0');
    await client.call(
      'XREADGROUP',
      'GROUP',
      'group',
      'joe',
      'COUNT',
      '2',
      'STREAMS',
      'stream',
      '>',
    );
    await client.rpush('list', 'a');
  }

  const pending = async (): Promise<string> => {
    const rows = (await server.client.xpending('stream', 'group', '-', '+', 10)) as string[][];
    return String(rows[0]?.[0]);
  };

  it.each([
    ['XACK', async () => ['XACK', 'stream', 'group', await pending()]],
    ['XREADGROUP', () => ['XREADGROUP', 'GROUP', 'group', 'ann', 'STREAMS', 'stream', '>']],
    ['XCLAIM', async () => ['XCLAIM', 'stream', 'group', 'ann', '0', await pending()]],
    ['XGROUP CREATE', () => ['XGROUP', 'CREATE', 'stream', 'other', '$']],
    ['XGROUP DESTROY', () => ['XGROUP', 'DESTROY', 'stream', 'group']],
    ['XGROUP SETID', () => ['XGROUP', 'SETID', 'stream', 'group', '0']],
    ['XGROUP CREATECONSUMER', () => ['XGROUP', 'CREATECONSUMER', 'stream', 'group', 'bob']],
    ['XSETID', () => ['XSETID', 'stream', '9999999999999-0']],
    ['XADD', () => ['XADD', 'stream', '*', 'd', '1']],
  ])('and a mark notice %s', async (_, words) => {
    await fillStream();
    const removal = watching();
    const keys = keysOf('stream', 'list');
    const ticket = removal.begin(keys);
    await settled();
    const [command = '', ...args] = await words();
    await server.client.call(command, ...args);
    expect(await removal.remove(keys, ticket)).toMatchObject({ why: 'changed' });
    expect(await server.client.exists('stream')).toBe(1);
  });

  it('lets go of what nobody touched, streams too, whoever writes elsewhere', async () => {
    await fillStream();
    const removal = watching();
    const keys = keysOf('list', 'stream');
    const ticket = removal.begin(keys);
    await settled();
    await server.client.incr('elsewhere');
    expect(await removal.remove(keys, ticket)).toBe('removed');
    expect(await server.client.keys('*')).toEqual(['elsewhere']);
  });

  it('lets go of keys with a deadline where PERSIST has to be looked for', async () => {
    await server.client.set('a', '1', 'EX', 1000);
    const removal = watching(true);
    const ticket = removal.begin(keysOf('a'));
    await settled();
    expect(await removal.remove(keysOf('a'), ticket)).toBe('removed');
  });
});
