/** A reply to PTTL that is late stretches no TTL, and neither does a question that arrives in two parts. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { askDeadlines, isNear, readClock } from '../../../src/movers/relay/deadlines.js';
import { connect } from '../../../src/redis/connection.js';
import { keysOf } from '../../support/keys.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { type Server, startServer } from '../../support/servers.js';

let server: Server;
let proxy: Proxy;

beforeAll(async () => {
  server = await startServer();
  proxy = await startProxy(server);
});
afterAll(async () => {
  await proxy.stop();
  await server.stop();
});

it('counts from when the source gave it', async () => {
  const deadlineMs = Date.now() + 600_000;
  await server.client.set('key', 'x');
  await server.client.pexpireat('key', deadlineMs);
  const [host = '', port = ''] = proxy.address.split(':');
  const endpoint = { host, port: Number(port), tls: false, db: 0 };
  const source = await connect(endpoint, { timeoutMs: 10_000 });
  try {
    await readClock(source);
    proxy.faults.delayMs.down = 2500;
    const deadlines = askDeadlines(source, keysOf('key'));
    await source.call('PING');
    expect(isNear(deadlines.byKey[0] ?? 0, deadlineMs)).toBe(true);
  } finally {
    source.close();
  }
});
