/** Writers, each of which counts at one server, so that it is known what the server has acknowledged. */
import { afterEach, expect } from 'vitest';
import type { Server } from './servers.js';
import type { Stage } from './stage.js';
import { waitFor } from './wait.js';

/** Whether a write is taken at this moment. */
export const takesWrites = ({ client, port }: Server): Promise<boolean> =>
  client.set(`after:${String(port)}`, 'x').then(
    () => true,
    () => false,
  );

export interface Counter {
  readonly server: Server;
  /** Of its own. */
  readonly key: string;
  readonly acknowledged: number;
  /** Ends at the first refusal, or after `stop`. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Those that a test has left, which must not count on under the next one. */
const running = new Set<Counter>();

afterEach(async () => {
  await Promise.all([...running].map((counter) => counter.stop()));
  running.clear();
});

export function counterAt(server: Server): Counter {
  const key = `count:${String(server.port)}`;
  let acknowledged = 0;
  let isOver = false;
  async function work(): Promise<void> {
    while (!isOver) {
      try {
        await server.client.incr(key);
        acknowledged++;
      } catch {
        return;
      }
    }
  }
  const ended = work();
  const counter: Counter = {
    server,
    key,
    ended,
    get acknowledged() {
      return acknowledged;
    },
    stop() {
      isOver = true;
      return ended;
    },
  };
  running.add(counter);
  return counter;
}

/** All were refused, and each acknowledged write is in the cluster, once. */
export async function expectAll(
  counters: readonly Counter[],
  { cluster }: Stage,
  prefixOf: (server: Server) => string = () => '',
): Promise<void> {
  await Promise.all(counters.map(({ ended }) => ended));
  const names = counters.map(({ server, key }) => `${prefixOf(server)}${key}`);
  expect(await Promise.all(names.map((name) => cluster.clientFor(name).get(name)))).toEqual(
    counters.map(({ acknowledged }) => String(acknowledged)),
  );
}

/** Each server goes on being written to. */
export async function expectWrites(counters: readonly Counter[]): Promise<void> {
  const before = counters.map(({ acknowledged }) => acknowledged);
  await waitFor('writes at each source', () =>
    counters.every(({ acknowledged }, at) => acknowledged > (before[at] as number) + 10),
  );
}
