import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { ImportError } from '../../../src/errors.js';
import { AckReader } from '../../../src/movers/relay/splice.js';
import { BulksReader, type FrameSink } from '../../../src/redis/reply.js';
import { connect, type Connection } from '../../../src/redis/connection.js';
import { answering, mockServer } from '../../support/mock-server.js';

const timeoutMs = 200;

const loss = (connection: Connection): Promise<ImportError> =>
  new Promise((resolve) => {
    connection.onLost(resolve);
  });

/** Asks one thing of a server that treats connections so, and waits for the end of it. */
async function ask(treat: (socket: Socket) => void) {
  const { endpoint, address } = await mockServer(treat);
  const connection = await connect(endpoint, { timeoutMs });
  const startedMs = performance.now();
  // Measured beside it: a busy machine is late with both.
  let isLate = false;
  const late = setTimeout(() => (isLate = true), timeoutMs * 5);
  const answer = await connection.call('GET', 'key').catch((error: unknown) => error);
  clearTimeout(late);
  return { connection, address, answer, isLate, tookMs: performance.now() - startedMs };
}

/** Waits as long as a server may be silent, by the time-out of a connection that is owed an answer. */
async function untilTimeout(): Promise<void> {
  const { answer } = await ask(answering(undefined));
  expect(answer).toMatchObject({ name: 'ConnectionError' });
}

describe('a server', () => {
  it.each([
    ['says nothing', undefined],
    ['stops in a header', '$1'],
    ['stops between CR and LF', '$5\r'],
    ['stops in a value', '$10\r\nabc'],
    ['stops ahead of a value’s CRLF', '$3\r\nabc'],
    ['stops in a line', '-ERR he'],
    ['stops in an array', '*2\r\n+OK\r\n'],
  ])('that %s is given up in time', async (_, answer) => {
    const { answer: error, address, tookMs, isLate } = await ask(answering(answer));
    const message = `${address} did not answer within ${String(timeoutMs)} ms`;
    expect(error).toMatchObject({ name: 'ConnectionError', message });
    expect(tookMs).toBeGreaterThan(timeoutMs - 20);
    expect(isLate).toBe(false);
  });

  it('that answers too much is given up behind what was asked', async () => {
    const { connection, answer, address } = await ask(answering('+PONG\r\n+PONG\r\n'));
    expect(answer).toBe('PONG');
    await loss(connection);
    const message = `${address} sent more replies than there were commands`;
    expect(connection.lost).toMatchObject({ name: 'ProtocolError', message });
  });

  it('that answers before it was asked is given up', async () => {
    const { endpoint, address } = await mockServer((socket) => socket.write('+PONG\r\n'));
    const connection = await connect(endpoint, { timeoutMs });
    const message = `${address} sent more replies than there were commands`;
    expect(await loss(connection)).toMatchObject({ name: 'ProtocolError', message });
  });

  it('that turns us away is quoted', async () => {
    const { endpoint, address } = await mockServer((socket) =>
      socket.end('-ERR max number of clients reached\r\n'),
    );
    const connection = await connect(endpoint, { timeoutMs });
    expect(await loss(connection)).toMatchObject({
      name: 'ConnectionError',
      message: `${address} refused the connection: ERR max number of clients reached`,
    });
  });

  it.each([
    ['closes', (socket: Socket) => socket.end('$10\r\nabc'), 'closed the connection'],
    ['resets', (socket: Socket) => socket.resetAndDestroy(), 'broke: connection reset'],
  ])('that %s mid-value is given up at once', async (_, end, words) => {
    const { answer, address } = await ask((socket) => socket.once('data', () => end(socket)));
    expect(answer).toMatchObject({ name: 'ConnectionError' });
    expect(String(answer)).toContain(address);
    expect(String(answer)).toContain(words);
  });

  it('that claims 3 GB gets no memory for it', async () => {
    const before = process.memoryUsage.rss();
    const { answer, address } = await ask(answering('$3221225472\r\nabc'));
    const message = `${address} sent a reply larger than it may be`;
    expect(answer).toMatchObject({ name: 'ProtocolError', message });
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
  });

  it('that sends on and on is read in the same memory, until it breaks off', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    const { endpoint } = await mockServer((socket) => {
      let left = 200;
      const more = (): void => {
        while (left > 0 && socket.write(chunk)) left--;
        if (left-- <= 0) socket.end();
      };
      socket.once('data', () => {
        socket.write('$3221225472\r\n');
        more();
      });
      socket.on('drain', more);
    });
    const connection = await connect(endpoint, { timeoutMs: 10_000 });
    let passed = 0;
    let peak = 0;
    const before = process.memoryUsage.rss();
    const error = await new Promise<Error>((fail) => {
      const sink: FrameSink = {
        open: () => undefined,
        bytes: (_, start, end) => {
          passed += end - start;
          peak = Math.max(peak, process.memoryUsage.rss());
        },
        shut: () => undefined,
        nil: () => undefined,
        refused: () => undefined,
        end: () => undefined,
        fail,
      };
      connection.expect(new BulksReader(sink, 1));
      connection.out.append(Buffer.from('GET'));
    });
    expect(error.name).toBe('ConnectionError');
    expect(passed).toBeGreaterThan(150 * chunk.length);
    expect(peak - before).toBeLessThan(64 * 1024 * 1024);
  });

  it('that is silent after a pause of ours is given up all the same', async () => {
    const { endpoint, address } = await mockServer(answering(undefined));
    const connection = await connect(endpoint, { timeoutMs });
    connection.pause();
    const answer = connection.call('PING').catch((error: unknown) => error);
    await untilTimeout();
    await untilTimeout();
    expect(connection.lost).toBeUndefined();
    connection.resume();
    expect(await answer).toMatchObject({
      message: `${address} did not answer within ${String(timeoutMs)} ms`,
    });
  });

  it('that owes no answer may be silent, until it does', async () => {
    const { endpoint } = await mockServer(answering(undefined));
    const connection = await connect(endpoint, { timeoutMs });
    const acks = new AckReader(1, false, () => undefined);
    connection.expect(acks);
    await untilTimeout();
    await untilTimeout();
    expect(connection.lost).toBeUndefined();
    acks.sent(0);
    connection.out.append(Buffer.from('SET'));
    expect(await loss(connection)).toMatchObject({ name: 'ConnectionError' });
  });

  it('that owed nothing to the first is given up for the next all the same', async () => {
    const { endpoint } = await mockServer(answering(undefined));
    const connection = await connect(endpoint, { timeoutMs });
    const nothingSent = new AckReader(1, false, () => undefined);
    connection.expect(nothingSent);
    nothingSent.complete();
    await expect(connection.call('PING')).rejects.toMatchObject({ name: 'ConnectionError' });
  });
});
