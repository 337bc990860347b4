/** Feeds of a test: what each heard is kept, and each is closed when its test ends. */
import { onTestFinished } from 'vitest';

import {
  openReplicationFeed,
  type ReplicationFeed,
  type ReplicationFeedOptions,
} from '../../../src/feed/replication.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { type Server, type ServerOptions, startServer } from '../../support/servers.js';

export interface Heard {
  readonly feed: ReplicationFeed;
  /** `db:key`, or `db:*` for everything of a database, or `*:*`; in order. */
  readonly changes: string[];
  /** Why everything may have changed, each time. */
  readonly reasons: string[];
  readonly warnings: string[];
  /** What was heard since the last call, once all that was written by now is heard. */
  readonly since: () => Promise<string[]>;
}

type Options = Partial<ReplicationFeedOptions>;

/** @param at where the feed connects to, if not to the server itself. */
export async function listen(
  server: Server,
  options: Options = {},
  at: { readonly host: string; readonly port: number } = server,
): Promise<Heard> {
  const changes: string[] = [];
  const reasons: string[] = [];
  const warnings: string[] = [];
  const warn = (fields: object, message: string): void => {
    warnings.push(`${message} ${JSON.stringify(fields)}`);
  };
  const feed = await openReplicationFeed({
    endpoint: { host: at.host, port: at.port, tls: false, db: 0 },
    listener: {
      changed: (db, name) => changes.push(`${String(db)}:${name}`),
      everything: (db, why) => {
        changes.push(`${db === undefined ? '*' : String(db)}:*`);
        reasons.push(why);
      },
    },
    logger: { debug: () => undefined, info: () => undefined, warn, error: warn },
    timeoutMs: 10_000,
    retryForMs: 60_000,
    ...options,
  });
  onTestFinished(() => {
    feed.close();
  });
  let told = 0;
  return {
    feed,
    changes,
    reasons,
    warnings,
    async since() {
      await feed.reached(await offsetOf(server), new AbortController().signal);
      const news = changes.slice(told);
      told = changes.length;
      return news;
    },
  };
}

export async function infoOf(server: Server): Promise<ReadonlyMap<string, string>> {
  const text = await server.client.info();
  return new Map(text.split('\r\n').map((line) => line.split(':', 2) as [string, string]));
}

export async function offsetOf(server: Server): Promise<number> {
  return Number((await infoOf(server)).get('master_repl_offset'));
}

/** A server of one test. */
export async function serverFor(
  config: readonly string[] = [],
  options: ServerOptions = {},
): Promise<Server> {
  const server = await startServer({ ...options, config });
  onTestFinished(() => server.stop());
  return server;
}

export async function proxyFor(server: Server): Promise<Proxy> {
  const proxy = await startProxy(server);
  onTestFinished(() => proxy.stop());
  return proxy;
}
