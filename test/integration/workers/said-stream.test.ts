/** What coordinator and processes that follow say to each other, through a Redis that loses connections. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseEndpoint } from '../../../src/redis/endpoint.js';
import { readStream, streamWriter, type ToLead } from '../../../src/workers/queue/queue-follow.js';
import { type Server, startServer } from '../../support/servers.js';
import { waitFor } from '../../support/wait.js';

let server: Server;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const timeoutMs = 10_000;
const message = (nth: number): ToLead => ({ token: String(nth) });

function setUp(key: string) {
  const endpoint = parseEndpoint(server.address, '--queue');
  const heard: ToLead[] = [];
  let isBroken = false;
  const reader = readStream(
    endpoint,
    key,
    timeoutMs,
    (one) => heard.push(one as ToLead),
    () => (isBroken = true),
  );
  const writer = () => streamWriter(endpoint, key, timeoutMs);
  return { heard, reader, writer, isBroken: () => isBroken };
}

it('brings all in order, none twice, while connections are lost', async () => {
  const { heard, reader, writer, isBroken } = setUp('lossy');
  const one = writer();
  for (let nth = 0; nth < 200; nth++) {
    one.write(message(nth));
    if (nth % 20 === 0)
      await server.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  }
  await waitFor('all to be heard', () => heard.length >= 200);
  expect(heard).toEqual(Array.from({ length: 200 }, (_, nth) => message(nth)));
  expect(isBroken()).toBe(false);
  await waitFor('the stream to be empty', async () => (await server.client.xlen('lossy')) === 0);
  one.close();
  await reader.close();
  expect(await server.client.exists('lossy')).toBe(0);
});

it('hears each new writer from its beginning', async () => {
  const { heard, reader, writer } = setUp('writers');
  for (const nth of [1, 2]) {
    const one = writer();
    one.write(message(nth));
    await waitFor('it to be heard', () => heard.length === nth);
    one.close();
  }
  expect(heard).toEqual([message(1), message(2)]);
  await reader.close();
});

it('tells when something is missing', async () => {
  const { reader, isBroken } = setUp('lacking');
  await server.client.xadd('lacking', '*', 'from', 'x', 'place', '1', 'text', '[]');
  await waitFor('it to be noticed', isBroken);
  await reader.close();
});
