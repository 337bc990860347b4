/** What two servers answer at different moments, because one is late, is compared all the same. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compareKeys, type Side } from '../../src/movers/compare.js';
import { connect } from '../../src/redis/connection.js';
import { parseEndpoint } from '../../src/redis/endpoint.js';
import { frame } from '../../src/redis/frames.js';
import { keyAt, keysBuilder } from '../../src/redis/keys.js';
import type { Keys } from '../../src/types.js';
import { refusing } from '../../src/verify/contents/asker.js';
import { compareBoth } from '../../src/verify/examine.js';
import { askAt } from '../../src/verify/server.js';
import { type Proxy, startProxy } from '../support/proxy.js';
import { type Server, startServer } from '../support/servers.js';

let servers: readonly Server[];
let proxy: Proxy;
let late: Side;
let other: Side;
const keys = keysBuilder(2);

async function sideAt(address: string): Promise<Side> {
  const connection = await connect(parseEndpoint(address, '--from'), { timeoutMs: 10_000 });
  return { connection, asking: false };
}

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
  [late, other] = await Promise.all([sideAt(proxy.address), sideAt(two.address)]);
  proxy.faults.delayMs.up = 1500;
});
afterAll(async () => {
  late.connection.close();
  other.connection.close();
  await proxy.stop();
  await Promise.all(servers.map((server) => server.stop()));
});

it('is not late enough to make another TTL of the same one, for an import', async () => {
  const { equal, different } = await compareKeys(late, other, keys.take());
  const namesIn = (some: Keys): string[] =>
    Array.from({ length: some.count }, (_, at) => String(keyAt(some, at)));
  expect(namesIn(equal)).toEqual(['same']);
  expect(namesIn(different)).toEqual(['later']);
});

it('is not late enough for that either when it is verified', async () => {
  const [ours, theirs] = [late, other].map(({ connection }) =>
    refusing(connection.address, (words) => askAt(connection, words)),
  ) as [ReturnType<typeof refusing>, ReturnType<typeof refusing>];
  const found = (name: string) =>
    compareBoth(Buffer.from(name), ours, theirs, { toleranceMs: 1000, fast: false });
  expect(await found('same')).toBeUndefined();
  expect(await found('later')).toMatchObject({ kind: 'ttl' });
});
