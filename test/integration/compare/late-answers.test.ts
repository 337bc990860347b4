/** What two servers answer at different moments, because one is late, is compared all the same. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compareValue, sideOf } from '../../../src/compare/value.js';
import { connect, type Connection } from '../../../src/redis/connection.js';
import { parseEndpoint } from '../../../src/redis/endpoint.js';
import { frame, keyAt, keysBuilder } from '../../../src/redis/frames.js';
import type { Keys, Node } from '../../../src/types.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { type Server, startServer } from '../../support/servers.js';
import { createSideChannel } from '../../../src/movers/side-channel.js';

let servers: readonly Server[];
let proxy: Proxy;
let late: Connection;
let other: Connection;
const keys = keysBuilder(2);

const connectTo = (address: string): Promise<Connection> =>
  connect(parseEndpoint(address, '--from'), { timeoutMs: 10_000 });

beforeAll(async () => {
  servers = await Promise.all([startServer(), startServer()]);
  const [one, two] = servers as [Server, Server];
  const deadlineMs = Date.now() + 1_000_000;
  for (const [name, apartMs] of [
    ['same', 0],
    ['later', 10_000],
  ] as const) {
    const key = frame(Buffer.from(name));
    keys.add(key, 0, key.length);
    for (const { client } of servers) await client.set(name, 'value');
    await one.client.pexpireat(name, deadlineMs);
    await two.client.pexpireat(name, deadlineMs + apartMs);
  }
  proxy = await startProxy(one);
  [late, other] = await Promise.all([connectTo(proxy.address), connectTo(two.address)]);
  proxy.faults.delayMs.up = 1500;
});
afterAll(async () => {
  late.close();
  other.close();
  await proxy.stop();
  await Promise.all(servers.map((server) => server.stop()));
});

it('is not late enough to make another TTL of the same one, for an import', async () => {
  const aside = createSideChannel(
    () => Promise.resolve(late),
    () => Promise.resolve(other),
  );
  const node: Node = { address: other.address, host: '', port: 0 };
  const { equal, different } = await aside.compare({ node, asking: false }, keys.take());
  const namesIn = (some: Keys): string[] =>
    Array.from({ length: some.count }, (_, at) => String(keyAt(some, at)));
  expect(namesIn(equal)).toEqual(['same']);
  expect(namesIn(different)).toEqual(['later']);
});

it('is not late enough for that either when it is verified', async () => {
  const found = (name: string) =>
    compareValue(Buffer.from(name), Buffer.from(name), sideOf(late), sideOf(other));
  expect(await found('same')).toEqual({ same: true });
  expect(await found('later')).toMatchObject({ kind: 'ttl' });
});
