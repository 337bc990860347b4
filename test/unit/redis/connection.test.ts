import { describe, expect, it } from 'vitest';
import type { ImportError } from '../../../src/errors.js';
import { connect, type Connection } from '../../../src/redis/connection.js';
import { ReplyReader } from '../../../src/redis/reply.js';
import { randomFrom } from '../../support/random.js';
import { answering, mockServer } from '../../support/mock-server.js';

const timeoutMs = 200;

const loss = (connection: Connection): Promise<ImportError> =>
  new Promise((resolve) => {
    connection.onLost(resolve);
  });

describe('a connection', () => {
  it('logs in and selects its database before anything else', async () => {
    const asked: string[] = [];
    const { endpoint } = await mockServer((socket) => {
      socket.on('data', (chunk) => {
        asked.push(chunk.toString());
        socket.write('+OK\r\n+OK\r\n');
      });
    });
    await connect({ ...endpoint, username: 'me', password: 'p w%', db: 3 }, { timeoutMs });
    expect(asked.join('')).toBe(
      '*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$4\r\np w%\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n',
    );
  });

  it.each([
    ['the password', { password: 'secret' }, '-WRONGPASS invalid username-password pair\r\n'],
    ['the database', { db: 99 }, '-ERR DB index is out of range\r\n'],
  ])('that is refused %s says whose words these are, and no secret', async (_, login, answer) => {
    const { endpoint, address } = await mockServer(answering(answer));
    const error = await connect({ ...endpoint, ...login }, { timeoutMs }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      name: 'ConnectionError',
      message: `${address} refused the connection: ${answer.slice(1, -2)}`,
    });
    expect(String(error)).not.toContain('secret');
  });

  it('takes back what a silent server has not come to read', async () => {
    const server: { heardBytes: number; wake?: () => Promise<unknown> } = { heardBytes: 0 };
    const { endpoint } = await mockServer((socket) => {
      socket.pause();
      socket.on('data', (chunk) => (server.heardBytes += chunk.length));
      // That its line is reset is what it has to see.
      socket.on('error', () => undefined);
      server.wake = () =>
        new Promise((resolve) => {
          socket.resume().once('close', resolve);
        });
    });
    const connection = await connect(endpoint, { timeoutMs });
    const value = Buffer.alloc(1024 * 1024, 'x');
    for (let at = 0; at < 32; at++) connection.call('SET', 'key', value).catch(() => undefined);
    await loss(connection);
    // An ordinary end would go on sending what the system holds, some megabytes.
    await server.wake?.();
    expect(server.heardBytes).toBeLessThan(1024 * 1024);
  });

  it('gives each command its own reply, however they are cut on the way', async () => {
    const replies = Array.from({ length: 99 }, (_, nth) => `${String(nth)}\r\n${'x'.repeat(nth)}`);
    const stream = replies.map((text) => `$${String(text.length)}\r\n${text}\r\n`).join('');
    const { endpoint } = await mockServer((socket) => {
      const random = randomFrom(7, 1);
      const sendFrom = (at: number): void => {
        const end = at + 1 + random.int(random.pick([3, 60, 500]));
        socket.write(stream.slice(at, end));
        // A turn of the event loop for each piece, so that they are read one by one.
        if (end < stream.length) setImmediate(sendFrom, end);
      };
      socket.once('data', () => {
        sendFrom(0);
      });
    });
    const connection = await connect(endpoint, { timeoutMs: 10_000 });
    const got = await Promise.all(replies.map((_, nth) => connection.call('GET', nth)));
    expect(got.map(String)).toEqual(replies);
  });

  it('tells all who wait that it is lost, once and in order, and all who come later', async () => {
    const { endpoint, address } = await mockServer(answering('+OK\r\n?'));
    const connection = await connect(endpoint, { timeoutMs });
    const told: string[] = [];
    const reader = (name: string): ReplyReader =>
      new ReplyReader(
        () => told.push(`${name} answered`),
        ({ message }) => told.push(`${name}: ${message}`),
      );
    connection.onLost(() => told.push('lost'));
    for (const name of ['one', 'two', 'three']) connection.expect(reader(name));
    connection.out.append(Buffer.from('anything'));
    await loss(connection);
    const message = `${address} sent a reply that starts with byte 63`;
    expect(told).toEqual(['one answered', `two: ${message}`, `three: ${message}`, 'lost']);
    connection.expect(reader('late'));
    expect(told.at(-1)).toBe(`late: ${message}`);
    await expect(connection.call('PING')).rejects.toBe(connection.lost);
    connection.close();
    expect(connection.lost?.message).toBe(message);
  });

  it('fails by name where nobody listens', async () => {
    const endpoint = { host: '127.0.0.1', port: 1, tls: false, db: 0 };
    await expect(connect(endpoint, { timeoutMs })).rejects.toThrow(
      /^the connection to 127\.0\.0\.1:1 broke: connection refused/,
    );
  });
});
