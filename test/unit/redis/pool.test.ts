import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Connection } from '../../../src/redis/connection.js';
import {
  ConnectionPool,
  createLink,
  lanes,
  type Link,
  reopening,
} from '../../../src/redis/pool.js';
import { SourceError, StoppedError } from '../../../src/errors.js';

/** Opens connections that are none, by number, and knows which of them are open. */
function opener() {
  const open = new Map<Connection, string>();
  let count = 0;
  return {
    open: (to = ''): Promise<Connection> => {
      const callbacks: ((error: Error) => void)[] = [];
      const connection = {
        onLost: (callback: () => void) => callbacks.push(callback),
        close() {
          if (!open.delete(connection)) return;
          for (const callback of callbacks) callback(new Error('closed'));
        },
      } as unknown as Connection;
      open.set(connection, `${to}${String(++count)}`);
      return Promise.resolve(connection);
    },
    nameOf: (connection: Connection) => open.get(connection),
    get names() {
      return [...open.values()];
    },
  };
}

it('closes all that was opened, also what is opened when all was closed', async () => {
  const server = opener();
  const pool = new ConnectionPool();
  await pool.add(server.open());
  await pool.add(server.open());
  const late = pool.add(server.open());
  expect(server.names).toEqual(['1', '2', '3']);
  pool.close();
  await late;
  expect(server.names).toEqual([]);
});

it('closes what is open, and lets others be opened', async () => {
  const server = opener();
  const pool = new ConnectionPool();
  await pool.add(server.open());
  pool.renew();
  await pool.add(server.open());
  expect(server.names).toEqual(['2']);
});

it('opens a connection once for all who ask, and another one when it was lost', async () => {
  const server = opener();
  const lent = reopening(() => server.open());
  const [one, other] = await Promise.all([lent(), lent()]);
  expect(one).toBe(other);
  one.close();
  expect(server.nameOf(await lent())).toBe('2');
});

it('forgets that a connection could not be opened', async () => {
  const server = opener();
  let tries = 0;
  const lent = reopening(() =>
    ++tries === 1 ? Promise.reject(new Error('refused')) : server.open(),
  );
  await expect(lent()).rejects.toThrow('refused');
  expect(server.nameOf(await lent())).toBe('1');
});

it('lends each server’s own connections in turn', async () => {
  const server = opener();
  const to = lanes(({ address }: { address: string }) => server.open(address), 2);
  const names: (string | undefined)[] = [];
  for (const address of ['a', 'a', 'a', 'a']) names.push(server.nameOf(await to({ address })));
  expect(names).toEqual(['a1', 'a2', 'a1', 'a2']);
  expect(server.nameOf(await to({ address: 'b' }))).toBe('b3');
});

/* Who waits for a server that is away, and for how long. */

let server: Server;
let tries: number;
let port: number;
/** Called at each try; the server then hangs up. */
let onTry: () => void;

beforeEach(async () => {
  tries = 0;
  onTry = () => undefined;
  server = createServer((socket) => {
    tries++;
    socket.destroy();
    onTry();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as { port: number });
});
afterEach(() => server.close());

function linkFor(retryForMs: number): Link {
  const endpoint = { host: '127.0.0.1', port, db: 0, tls: false };
  return createLink(endpoint, { timeoutMs: 1000, retryForMs, mustBeWritable: false });
}

it('gives up once for all', async () => {
  const link = linkFor(200);
  const error = await link.open().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(SourceError);
  const before = tries;
  expect(before).toBeGreaterThan(1);
  await expect(link.open()).rejects.toBe(error);
  expect(tries).toBe(before);
});

it('waits no longer when the signal comes, and tries once after it', async () => {
  const link = linkFor(600_000);
  const stop = new AbortController();
  link.heed(stop.signal);
  const second = new Promise<void>((resolve) => {
    onTry = () => {
      if (tries === 2) resolve();
    };
  });
  const waiting = link.open();
  waiting.catch(() => undefined);
  await second;
  stop.abort();
  await expect(waiting).rejects.toBeInstanceOf(StoppedError);
  await expect(link.open()).rejects.toBeInstanceOf(StoppedError);
  expect(tries).toBe(3);
});
