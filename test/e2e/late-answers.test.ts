/** What two servers answer at different moments, because one is late, is compared all the same. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compareKeys } from '../../src/movers/compare.js';
import { connect, type Connection } from '../../src/redis/connection.js';
import { parseEndpoint } from '../../src/redis/endpoint.js';
import { frame } from '../../src/redis/frames.js';
import { keyAt, keysBuilder } from '../../src/redis/keys.js';
import { type Proxy, startProxy } from '../support/proxy.js';
import { type Server, startServer } from '../support/servers.js';

let servers: readonly Server[];
let proxy: Proxy;
const connections: Connection[] = [];
beforeAll(async () => {
  servers = await Promise.all([startServer(), startServer()]);
  proxy = await startProxy(servers[0] as Server);
});
afterAll(async () => {
  for (const connection of connections) connection.close();
  await proxy.stop();
  await Promise.all(servers.map((server) => server.stop()));
});

it('is not late enough to make another TTL of the same one', async () => {
  const deadlineMs = Date.now() + 1_000_000;
  const names = keysBuilder(2);
  for (const [name, apartMs] of [
    ['same', 0],
    ['later', 10_000],
  ] as const) {
    const key = frame(Buffer.from(name));
    names.add(key, 0, key.length);
    for (const [at, { client }] of servers.entries()) {
      await client.set(name, 'value', 'PX', 1_000_000);
      await client.pexpireat(name, deadlineMs + at * apartMs);
    }
  }
  const sides = await Promise.all(
    [proxy.address, servers[1]?.address ?? ''].map(async (address) => {
      const endpoint = parseEndpoint(address, '--from');
      const connection = await connect(endpoint, { timeoutMs: 10_000 });
      connections.push(connection);
      return { connection, asking: false };
    }),
  );
  const [one, other] = sides as [(typeof sides)[0], (typeof sides)[0]];
  proxy.faults.delayMs.up = 1500;
  const { equal, different } = await compareKeys(one, other, names.take());
  const namesIn = (keys: typeof equal): string[] =>
    Array.from({ length: keys.count }, (_, at) => String(keyAt(keys, at)));
  expect(namesIn(equal)).toEqual(['same']);
  expect(namesIn(different)).toEqual(['later']);
});
