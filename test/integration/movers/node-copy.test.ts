/**
 * What a node has from a run, under clients of the cluster: only what is exactly as it was stored may be
 * replaced or deleted. Every type, and everything that a client may do to it.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Redis } from 'ioredis';
import { nodeCopy, type NodeCopy } from '../../../src/movers/relay/node-copy.js';
import type { SentValue } from '../../../src/movers/relay/sent-values.js';
import { storeCommands } from '../../../src/movers/relay/splice.js';
import { connect, type Connection } from '../../../src/redis/connection.js';
import { parseEndpoint } from '../../../src/redis/endpoint.js';
import { frame } from '../../../src/redis/frames.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const name = 'key';
const words = storeCommands(false, {
  ...{ valueDeadlines: true, payloadDeadlines: true, skewMs: 0, largestBytes: 2 ** 29 },
});
const hour = 3_600_000;

let lane: Connection;
let client: Redis;
let copy: NodeCopy;

beforeEach(async () => {
  client = stage.cluster.clientFor(name);
  const { host, port } = client.options;
  lane = await connect(parseEndpoint(`${String(host)}:${String(port)}`, 'to'), {
    timeoutMs: 60_000,
  });
  copy = nodeCopy(lane, Buffer.from(name), words);
});
afterEach(() => {
  lane.close();
});

/** What the source's value is sent as. */
async function sent(source: Redis, deadlineMs = 0): Promise<SentValue> {
  const type = await source.type(name);
  const bytes = await (type === 'string' ? source.getBuffer(name) : source.dumpBuffer(name));
  if (!bytes) throw new Error('the source has no value');
  return { form: type === 'string' ? 'value' : 'payload', deadlineMs, bytes, frame: frame(bytes) };
}

type Make = (client: Redis) => Promise<unknown>;

/** Each type: how it is made, how its value at the source changes, and what clients may do to the copy. */
const types: Readonly<Record<string, { make: Make; change: Make; touch: Record<string, Make> }>> = {
  string: {
    make: (one) => one.set(name, '7'),
    change: (one) => one.incr(name),
    touch: { increment: (one) => one.incr(name), append: (one) => one.append(name, '0') },
  },
  list: {
    make: (one) => one.rpush(name, 'a', 'b', 'c'),
    change: (one) => one.rpush(name, 'd'),
    touch: { pop: (one) => one.lpop(name), push: (one) => one.lpush(name, 'z') },
  },
  hash: {
    make: (one) => one.hset(name, { a: '1', b: '2' }),
    change: (one) => one.hset(name, 'c', '3'),
    touch: { set: (one) => one.hset(name, 'a', '9'), delete: (one) => one.hdel(name, 'b') },
  },
  set: {
    make: (one) => one.sadd(name, 'a', 'b'),
    change: (one) => one.sadd(name, 'c'),
    touch: { remove: (one) => one.srem(name, 'a') },
  },
  zset: {
    make: (one) => one.zadd(name, 1, 'a', 2, 'b'),
    change: (one) => one.zadd(name, 3, 'c'),
    touch: { score: (one) => one.zincrby(name, 1, 'a') },
  },
  stream: {
    async make(one) {
      await one.xadd(name, '1-1', 'f', 'v');
      await one.xadd(name, '2-1', 'f', 'w');
      await one.xgroup('CREATE', name, 'group', '0');
      await one.xreadgroup('GROUP', 'group', 'one', 'COUNT', 1, 'STREAMS', name, '>');
    },
    change: (one) => one.xadd(name, '3-1', 'f', 'x'),
    touch: {
      acknowledge: (one) => one.xack(name, 'group', '1-1'),
      'hand out': (one) => one.xreadgroup('GROUP', 'group', 'two', 'STREAMS', name, '>'),
      add: (one) => one.xadd(name, '9-1', 'f', 'y'),
    },
  },
};

const answers = (answer: boolean) => () => Promise.resolve(answer);
/** What replaces a copy is compared first, with --verify. */
const ways = { unseen: undefined, verified: answers(true) };
const cases = Object.entries(types).flatMap(([name, type]) =>
  Object.entries(ways).map(
    ([way, hasArrived]) => [`${name}, ${way}`, { ...type, hasArrived }] as const,
  ),
);

describe.each(cases)('the copy of a %s', (_, { make, change, touch, hasArrived }) => {
  const same = { isSameAtSource: answers(false), hasArrived };
  let stored: SentValue;
  let next: SentValue;

  beforeEach(async () => {
    const { client: source } = stage.source;
    await make(source);
    stored = await sent(source);
    await change(source);
    next = await sent(source);
    expect(await copy.store(stored)).toBe('done');
  });

  it('is replaced, or deleted, while nobody has touched it', async () => {
    expect(await copy.look(stored)).toBe('done');
    expect(await copy.replace(stored, next, same)).toBe('done');
    expect(await copy.look(next)).toBe('done');
    expect(await copy.look(stored)).toBe('touched');
    expect(await copy.discard(next)).toBe('done');
    expect(await client.exists(name)).toBe(0);
    expect(await copy.look(next)).toBe('absent');
    expect(await client.dbsize()).toBe(0);
  });

  it('stays when what would replace it did not arrive as the source has it', async () => {
    const checks = { isSameAtSource: answers(false), hasArrived: answers(false) };
    expect(await copy.replace(stored, next, checks)).toBe('differs');
    expect(await copy.look(stored)).toBe('done');
    expect(await client.dbsize()).toBe(1);
  });

  it.each(Object.entries(touch))('stays when a client did this to it: %s', async (__, act) => {
    await act(client);
    const before = await client.dumpBuffer(name);
    expect(await copy.look(stored)).toBe('touched');
    expect(await copy.replace(stored, next, same)).toBe('touched');
    expect(await copy.replace(stored, undefined, same)).toBe('touched');
    expect(await copy.discard(stored)).toBe('touched');
    expect(await copy.store(next)).toBe('touched');
    expect(await client.dumpBuffer(name)).toEqual(before);
    expect(await client.dbsize()).toBe(1);
  });

  it('stays when a client gave it a deadline, and is not brought back when one deleted it', async () => {
    await client.pexpire(name, hour);
    expect(await copy.replace(stored, next, same)).toBe('touched');
    expect(await copy.discard(stored)).toBe('touched');
    expect(await client.pttl(name)).toBeGreaterThan(hour / 2);
    await client.del(name);
    expect(await copy.replace(stored, next, same)).toBe('absent');
    expect(await copy.discard(stored)).toBe('absent');
    expect(await client.exists(name)).toBe(0);
  });

  it('keeps its deadline, within a second', async () => {
    const deadlineMs = Date.now() + hour;
    expect(await copy.discard(stored)).toBe('done');
    expect(await copy.store({ ...stored, deadlineMs })).toBe('done');
    expect(await copy.look({ ...stored, deadlineMs })).toBe('done');
    expect(await copy.look(stored)).toBe('touched');
    expect(await copy.replace({ ...stored, deadlineMs }, next, same)).toBe('done');
    expect(await client.pttl(name)).toBe(-1);
  });
});

it('replaces nothing where the source has the same in other bytes', async () => {
  const { client: source } = stage.source;
  await source.sadd(name, 'a', 'b');
  const stored = await sent(source);
  await copy.store(stored);
  await client.sadd(name, 'c');
  expect(
    await copy.replace(stored, stored, { isSameAtSource: answers(true), hasArrived: undefined }),
  ).toBe('same');
  expect(await client.scard(name)).toBe(3);
});
