/**
 * Somebody who writes to the source while it is being moved from, never waits, and keeps book.
 *
 * Each write stands in a transaction with EXISTS, so that the answer tells whether the key was there.
 * When the source is lost under it, the write is doubtful, and the writer comes back with the server.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../support/random.js';
import type { Server } from '../support/servers.js';
import { waitFor } from '../support/wait.js';
import { Connection, isRefusal } from './connection.js';
import { createLedger, type Ledger } from './ledger.js';
import { everyMs } from './servers.js';
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
/** What a writer does between two commands. */
const longestThoughtMs = 5;

export function createWriter(source: Server, random: Random, territory: Territory): Writer {
  const ledger = createLedger();
  const counts = { acknowledged: 0, doubtful: 0 };
  const connection = new Connection(source.host, source.port);
  let stopping = false;
  let running: Promise<void> | undefined;

  async function write(key: string, what: Write): Promise<void> {
    const to = await waitFor('the source to take writes', () => connection.open(), { everyMs });
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
      if (isRefusal(error)) return;
      if (to.status === 'ready') throw error;
      counts.doubtful++;
      ledger.note(key, what, { sentMs, heardMs: Date.now() }, undefined);
    }
  }

  async function writeOn(): Promise<void> {
    while (!stopping) {
      const [key, what] = nextWrite(random, territory);
      await write(key, what);
      await sleep(random.int(longestThoughtMs));
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
      connection.close();
    },
  };
}
