/**
 * A server that the run can't do without: connected to again when a connection is lost, as long as
 * there is hope, and looked at each time, since it may be another one by then.
 */
import pRetry from 'p-retry';
import { ConnectionError, ImportError, SourceError } from '../errors.js';
import { connect, type Connection } from './connection.js';
import { type Endpoint, printable } from './endpoint.js';
import { ErrorReply, textOf } from './reply.js';
import { measureRoundTrip } from './round-trip.js';
import { locate } from './sentinel.js';

export interface Link {
  /**
   * Opens a connection, trying again with a growing delay.
   * @throws SourceError when the server has not come back in time, or is of no use any more.
   */
  open(): Promise<Linked>;
  /** Gives up: nothing is opened any more. */
  close(): void;
}

export interface Linked {
  readonly connection: Connection;
  /** Another one after each restart (run_id of INFO server). */
  readonly identity: string;
  /** How far away it is. */
  readonly roundTripMs: number;
}

export interface LinkOptions {
  readonly timeoutMs: number;
  /** How long it is tried again before the run stops. */
  readonly retryForMs: number;
  /** Refuse a server that has become a read-only replica. */
  readonly mustBeWritable: boolean;
}

export function createLink(endpoint: Endpoint, options: LinkOptions): Link {
  const opened = new Set<Connection>();
  let closed = false;
  const name = printable(endpoint);

  async function attempt(): Promise<Linked> {
    const connection = await connect(await locate(endpoint, options.timeoutMs), options);
    try {
      const info = textOf(await refusing(connection.call('INFO', 'server'), name));
      const role = textOf(await refusing(connection.call('INFO', 'replication'), name));
      if (
        options.mustBeWritable &&
        /^role:slave/m.test(role) &&
        !/^slave_read_only:0/m.test(role)
      ) {
        // Sentinels may not have noticed yet; else it is for good.
        const Trouble = endpoint.sentinels ? ConnectionError : SourceError;
        throw new Trouble(
          `${name} has become a read-only replica, from which nothing can be moved: start again with its master in --from.`,
        );
      }
      const roundTripMs = await measureRoundTrip(connection);
      opened.add(connection);
      connection.onLost(() => opened.delete(connection));
      return { connection, identity: /^run_id:(\w+)/m.exec(info)?.[1] ?? '', roundTripMs };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  return {
    async open() {
      try {
        return await pRetry(attempt, {
          retries: Infinity,
          minTimeout: 50,
          maxTimeout: 2000,
          maxRetryTime: options.retryForMs,
          shouldRetry: ({ error }) => !closed && error instanceof ConnectionError,
        });
      } catch (error) {
        if (error instanceof SourceError || !(error instanceof ImportError)) throw error;
        throw new SourceError(
          `the source did not come back within ${String(options.retryForMs / 1000)} s: ${error.message}`,
          { cause: error },
        );
      }
    },
    close() {
      closed = true;
      for (const connection of opened) connection.close();
    },
  };
}

/** LOADING and the like pass: they count as not having answered. */
async function refusing<T>(answer: Promise<T>, name: string): Promise<T> {
  const reply = await answer;
  if (reply instanceof ErrorReply) throw new ConnectionError(`${name} answered: ${reply.text}`);
  return reply;
}
