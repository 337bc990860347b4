/**
 * Somebody who writes to the source while it is being moved from, never waits, and keeps book.
 *
 * Each write stands in a transaction with EXISTS, so that the answer tells whether the key was there.
 * When the source is lost under it, the write is doubtful, and the writer comes back with the server.
 */
import { Redis } from 'ioredis';
import type { Random } from '../fuzz/random.js';
import type { Server } from '../support/servers.js';
import { waitFor } from '../support/wait.js';
import { createLedger, type Ledger } from './ledger.js';
import { nextWrite, type Territory } from './writes.js';
import type { Write } from './state.js';

export interface Writer {
  readonly ledger: Ledger;
  /** Writes that were acknowledged, and those whose answer never came. */
  readonly counts: { acknowledged: number; doubtful: number };
  /** Makes some keys, as fast as they can be made. */
  fill(count: number): Promise<void>;
  start(): void;
  /** Ends after the write under way. */
  stop(): Promise<void>;
}

const atOnce = 250;

export function createWriter(source: Server, random: Random, territory: Territory): Writer {
  const ledger = createLedger();
  const counts = { acknowledged: 0, doubtful: 0 };
  let client: Redis | undefined;
  let opening: Promise<Redis> | undefined;
  let stopping = false;
  let running: Promise<void> | undefined;

  /** A client that has a connection: the same one until that is lost. */
  function connected(): Promise<Redis> {
    if (client?.status === 'ready') return Promise.resolve(client);
    opening ??= waitFor('the source to take writes', open).finally(() => (opening = undefined));
    return opening;
  }

  async function open(): Promise<Redis> {
    client?.disconnect();
    client = new Redis({
      host: source.host,
      port: source.port,
      protocol: 2,
      disableClientInfo: true,
      lazyConnect: true,
      // What was sent once must not be sent again: that would be a write that nobody noted.
      retryStrategy: () => null,
      autoResendUnfulfilledCommands: false,
    });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async function write(key: string, what: Write): Promise<void> {
    const to = await connected();
    const sentMs = Date.now();
    try {
      const [name, ...args] = what.words;
      const results = await to
        .multi([
          ['exists', key],
          [name.toLowerCase(), ...args],
        ])
        .exec();
      const [existed, reply] = (results ?? []).map(([error, answer]) => error ?? answer);
      if (reply instanceof Error) throw reply;
      counts.acknowledged++;
      const span = { sentMs, heardMs: Date.now() };
      ledger.note(key, what, span, { existed: existed === 1, reply });
    } catch (error) {
      // A refusal (LOADING, say) is an answer: nothing was done.
      if (error instanceof Error && error.name === 'ReplyError') return;
      if (to.status === 'ready') throw error;
      counts.doubtful++;
      ledger.note(key, what, { sentMs, heardMs: Date.now() }, undefined);
    }
  }

  async function writeOn(): Promise<void> {
    while (!stopping) {
      const [key, what] = nextWrite(random, territory);
      await write(key, what);
    }
  }

  return {
    ledger,
    counts,
    async fill(count) {
      for (let made = 0; made < count; made += atOnce) {
        const some = Array.from({ length: Math.min(atOnce, count - made) }, () =>
          territory.found(random),
        );
        await Promise.all(some.map(([key, what]) => write(key, what)));
      }
    },
    start() {
      running = writeOn();
    },
    async stop() {
      stopping = true;
      await running;
      client?.disconnect();
    },
  };
}
