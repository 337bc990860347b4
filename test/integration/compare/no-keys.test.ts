/** Questions about no keys have no answer to wait for. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { askNumbers, askRaw, askTypes, wordsAround } from '../../../src/compare/ask-many.js';
import { connect, type Connection } from '../../../src/redis/connection.js';
import { noKeys } from '../../../src/redis/frames.js';
import { type Server, startServer } from '../../support/servers.js';

let server: Server;
let line: Connection;

beforeAll(async () => {
  server = await startServer();
  const { host, port } = server;
  line = await connect({ host, port, tls: false, db: 0 }, { timeoutMs: 10_000 });
});
afterAll(async () => {
  line.close();
  await server.stop();
});

it.each([
  ['numbers', () => askNumbers(line, 'EXISTS', noKeys)],
  ['types', () => askTypes(line, noKeys)],
  ['replies', () => askRaw(line, noKeys, wordsAround(['GET'], [])).then(({ bytes }) => bytes)],
])('asks for no %s, and goes on', async (_, ask) => {
  expect(await ask()).toHaveLength(0);
  expect(await line.call('PING')).toBe('PONG');
});
