/**
 * Keys that are at their node and at the source still, where a connection is lost while they are brought to
 * their end: what each key's node was given last is remembered, or it is looked at there.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { compareValue, sideOf } from '../../../src/compare/value.js';
import { afterLostConnection, type JobPolicy } from '../../../src/movers/policy.js';
import { Attempt } from '../../../src/movers/relay/attempt.js';
import { watchedRemoval } from '../../../src/movers/relay/guard-by-watch.js';
import { RelayConnection } from '../../../src/movers/relay/relay-connection.js';
import { moveAgain, type SecondCopyOptions } from '../../../src/movers/relay/second-copy.js';
import { valueRecord, withSentValues } from '../../../src/movers/relay/sent-values.js';
import { storeCommands } from '../../../src/movers/relay/splice.js';
import { ValueShapes } from '../../../src/movers/relay/store.js';
import { readDataset } from '../../../src/redis/ask.js';
import { connect, type Connection } from '../../../src/redis/connection.js';
import { chosen, frame, keyAt, noKeys } from '../../../src/redis/frames.js';
import type { Batch, Copy, Keys, Node } from '../../../src/types.js';
import { keysOf } from '../../support/keys.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { type Server, startServer } from '../../support/servers.js';

const job = { mode: 'move', replace: false, clusterStartedEmpty: true, onlySource: true } as const;
const words = storeCommands(false, {
  valueDeadlines: true,
  payloadDeadlines: true,
  skewMs: 0,
  largestBytes: 2 ** 29,
});

let source: Server;
let target: Server;
let proxy: Proxy;
let node: Node;
const open: Connection[] = [];

beforeEach(async () => {
  [source, target] = await Promise.all([startServer(), startServer()]);
  proxy = await startProxy(target);
  node = { host: proxy.host, port: proxy.port, address: proxy.address };
});
afterEach(async () => {
  for (const connection of open.splice(0)) connection.close();
  await proxy.stop();
  await Promise.all([source.stop(), target.stop()]);
});

async function connectTo(host: string, port: number): Promise<Connection> {
  const connection = await connect({ host, port, tls: false, db: 0 }, { timeoutMs: 10_000 });
  connection.dataset = await readDataset(connection);
  open.push(connection);
  return connection;
}

/** Strings that a node was given. */
function given(names: readonly string[], values: readonly string[]): Keys {
  const records = values.map((value) => valueRecord('value', 0, frame(Buffer.from(value))));
  return withSentValues(keysOf(...names), records);
}

/** An attempt with these keys, over connections of its own. */
async function begin(keys: Keys, copy: Copy, mode: JobPolicy['mode'] = 'move') {
  const word = mode === 'move' ? 'UNLINK' : undefined;
  const [from, to] = await Promise.all([
    connectTo(source.host, source.port),
    connectTo(node.host, node.port),
  ]);
  const removal = watchedRemoval(from, { word, scripts: false, silentPersist: false });
  const guarded = { source: from, sourceRun: 'run', removal };
  const connection = new RelayConnection(guarded, () => Promise.resolve(to));
  const batch: Batch = {
    node,
    keys,
    listedBefore: false,
    copy,
    attempt: 2,
    changes: 2,
    asking: false,
  };
  return { from, to, attempt: new Attempt(connection, to, batch, removal, false) };
}

/** One attempt with these keys. @returns what goes round again. */
async function tryToMove(keys: Keys, copy: Copy): Promise<ReturnType<Attempt['outcome']['build']>> {
  const { from, to, attempt } = await begin(keys, copy);
  const options: SecondCopyOptions = {
    job,
    commandsFor: () => words,
    durabilityOf: () => undefined,
    rewrite: undefined,
    shapes: new ValueShapes(false),
    confirmation: undefined,
    datasetOf: () => readDataset(to),
    present: () => Promise.resolve({ indexes: [], refused: [] }),
    remove: () => Promise.resolve({ indexes: [], refused: [] }),
    async compare(_, some) {
      const none = { absent: noKeys, missing: noKeys, refused: [] };
      const sides = [sideOf(from), sideOf(to)] as const;
      const same: number[] = [];
      for (let index = 0; index < some.count; index++) {
        const key = keyAt(some, index);
        if ((await compareValue(key, key, ...sides)).same) same.push(index);
      }
      const others = [...Array(some.count).keys()].filter((index) => !same.includes(index));
      return { ...none, equal: chosen(some, same), different: chosen(some, others) };
    },
  };
  await moveAgain(options, attempt);
  return attempt.outcome.build();
}

it.each(['move', 'copy', 'follow'] as const)(
  'knows what the policy says of copies where the source is lost at the end (%s)',
  async (mode) => {
    const copy: Copy = { state: 'unknown' };
    const keys = keysOf('key');
    const { from, attempt } = await begin(keys, copy, mode);
    from.close();
    expect(await attempt.remove({ ...job, mode }, keys)).toBe('in-doubt');
    const [again] = attempt.outcome.build().retries;
    expect(again?.copy).toMatchObject(afterLostConnection({ mode }, copy, 'deleting', 'run'));
    expect(again?.copy?.storedAt).toBe(node);
  },
);

it('never takes an older value for what the node has, where the node was lost midway', async () => {
  const names = ['first', 'second'];
  // Both were copied as 1, and are 2 at the source by now.
  for (const name of names) {
    await target.client.set(name, '1');
    await source.client.set(name, '2');
  }
  const to = await connectTo(target.host, target.port);
  const copy: Copy = { state: 'stored', sourceRun: 'run', storedOver: to, storedAt: node };
  // The answer to the second one's replacement is lost, after it was carried out.
  let replaced = 0;
  proxy.faults.corrupt = (chunk, direction) => {
    if (direction === 'up' && chunk.includes('EXEC')) replaced++;
    if (direction === 'down' && replaced === 2 && chunk.includes('*1\r\n+OK')) {
      proxy.faults.corrupt = undefined;
      proxy.cut();
    }
    return chunk;
  };
  const lost = await tryToMove(given(names, ['1', '1']), copy);
  expect(replaced).toBe(2);
  expect(lost.retries.reduce((count, { keys }) => count + keys.count, 0)).toBe(2);
  expect(await target.client.mget(...names)).toEqual(['2', '2']);
  // Clients of the source bring them back to what the copies were at first.
  for (const name of names) await source.client.set(name, '1');
  for (const { keys, copy: known } of lost.retries) await tryToMove(keys, known ?? copy);
  for (const name of names) {
    const [here, there] = [await source.client.get(name), await target.client.get(name)];
    expect([name, here ?? there]).toEqual([name, '1']);
  }
});
