import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { readOptions } from '../../../src/options/options.js';
import type { Connection } from '../../../src/redis/connection.js';
import { createReplicas } from '../../../src/run/replicas.js';
import type { Node } from '../../../src/types.js';

const node: Node = { host: 'node', port: 7001, address: 'node:7001' };

/** A node that has as many replicas as it is told to, and counts how often it was asked. */
function aNode() {
  const state = { replicas: 0, asked: 0, connections: 0 };
  const connect = (): Promise<Connection> => {
    state.connections++;
    const call = (): Promise<Buffer> => {
      state.asked++;
      const lines = Array.from(
        { length: state.replicas },
        (_, at) => `slave${String(at)}:ip=1,state=online,offset=1`,
      );
      return Promise.resolve(Buffer.from(['role:master', ...lines].join('\r\n')));
    };
    return Promise.resolve({ call, onLost: () => undefined } as unknown as Connection);
  };
  return { state, connect };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Batches come, one every tenth of a second. */
async function pass(ms: number, batch: () => unknown): Promise<void> {
  for (let at = 0; at < ms; at += 100) {
    batch();
    await vi.advanceTimersByTimeAsync(100);
  }
}

it('asks a node that took over without a replica again, until one follows it', async () => {
  const { state, connect } = aNode();
  const options = readOptions({ from: 'a:1', to: 'b:1' });
  const replicas = createReplicas([], options, connect);
  const connecting = replicas.connectNode(node);
  await vi.advanceTimersByTimeAsync(3500);
  await connecting;
  const ask = (): number => replicas.toWaitFor(node);
  expect(ask()).toBe(0);
  const before = state.asked;
  await pass(10_000, ask);
  expect(ask()).toBe(0);
  expect(state.asked - before).toBe(3);
  state.replicas = 1;
  await pass(4000, ask);
  expect(ask()).toBe(1);
  const then = state.asked;
  await pass(10_000, ask);
  expect(state.asked).toBe(then);
  // One more than the one that values pass over.
  expect(state.connections).toBe(2);
});

it.each([
  [{ waitReplicas: 0 }, 0],
  [{ waitReplicas: 2 }, 2],
  [{ copy: true }, 0],
])('asks nobody where it was said what to wait for: %o', async (given, count) => {
  const { state, connect } = aNode();
  const options = readOptions({ from: 'a:1', to: 'b:1', ...given });
  const replicas = createReplicas([], options, connect);
  await replicas.connectNode(node);
  await pass(10_000, () => replicas.toWaitFor(node));
  expect(replicas.toWaitFor(node)).toBe(count);
  expect(state.asked).toBe(0);
});
