/**
 * An application as there are many: it counts, and appends to lists, all the time. It is told where its data
 * is by a file, and goes over to the cluster when the file changes. It keeps book of what was acknowledged.
 */
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, Redis } from 'ioredis';
import { randomFrom } from '../test/support/random.js';

export interface Application {
  /** Writes that the source and the cluster have acknowledged. */
  readonly acknowledged: { readonly source: number; readonly cluster: number };
  /** The longest that a write had to wait for its acknowledgement, in ms, with all its tries. */
  readonly longestWaitMs: number;
  /** It works with the cluster by now. */
  readonly isSwitched: boolean;
  /** Keys that it has written to. */
  readonly keys: number;
  stop(): Promise<void>;
  /** What is not in the cluster as it was acknowledged: one sentence for each key. */
  missingIn(cluster: Reads): Promise<readonly string[]>;
}

/** Where its keys are looked up. */
export interface Reads {
  get(key: string): Promise<string | null>;
  llen(key: string): Promise<number>;
}

const clients = 8;
const keysOfAType = 500;
const pauseMs = 20;
const lookEveryMs = 20;

/** @param addressFile holds `host:port` of the source; later of a node of the cluster. */
export function startApplication(addressFile: string): Application {
  const source = clientOf(readAddress(addressFile));
  let cluster: Cluster | undefined;
  let isOver = false;
  let longestWaitMs = 0;
  const acknowledged = { source: 0, cluster: 0 };
  const counts = new Map<string, number>();

  watchFile(addressFile, { interval: lookEveryMs }, () => {
    cluster ??= clusterOf(readAddress(addressFile));
  });

  async function work(stream: number): Promise<void> {
    const random = randomFrom(7, stream);
    while (!isOver) {
      const isCounter = random.oneIn(2);
      const key = `${isCounter ? 'counter' : 'list'}:${String(random.int(keysOfAType))}`;
      const startedMs = performance.now();
      const place = await write(key, isCounter);
      longestWaitMs = Math.max(longestWaitMs, performance.now() - startedMs);
      acknowledged[place]++;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      await sleep(random.int(pauseMs));
    }
  }

  /** What is refused was not written: it is tried again, at the cluster once it is known. */
  async function write(key: string, isCounter: boolean): Promise<'source' | 'cluster'> {
    for (;;) {
      const client = cluster ?? source;
      try {
        await (isCounter ? client.incr(key) : client.rpush(key, 'an element'));
        return client === source ? 'source' : 'cluster';
      } catch {
        await sleep(1);
      }
    }
  }

  const works = Promise.all(Array.from({ length: clients }, (_, stream) => work(stream)));
  return {
    acknowledged,
    get longestWaitMs() {
      return longestWaitMs;
    },
    get isSwitched() {
      return cluster !== undefined;
    },
    get keys() {
      return counts.size;
    },
    async stop() {
      isOver = true;
      await works;
      unwatchFile(addressFile);
      source.disconnect();
      cluster?.disconnect();
    },
    async missingIn(reads) {
      const lines = await Promise.all(
        [...counts].map(async ([key, count]) => {
          const isCounter = key.startsWith('counter:');
          const found = isCounter ? Number(await reads.get(key)) : await reads.llen(key);
          const words = `${key}: ${String(count)} writes were acknowledged, ${String(found)} are there`;
          return found === count ? undefined : words;
        }),
      );
      return lines.filter((line) => line !== undefined);
    },
  };
}

function readAddress(file: string): { readonly host: string; readonly port: number } {
  const [host = '', port] = readFileSync(file, 'utf8').trim().split(':');
  return { host, port: Number(port) };
}

function clientOf(address: { readonly host: string; readonly port: number }): Redis {
  const client = new Redis({ ...address, protocol: 2 });
  client.on('error', () => undefined);
  return client;
}

function clusterOf(address: { readonly host: string; readonly port: number }): Cluster {
  const client = new Cluster([address], { redisOptions: { protocol: 2 } });
  client.on('error', () => undefined);
  return client;
}
