/**
 * Who owns connections: whoever opens them keeps them in a pool, which closes all of them at the end. Those who work
 * with one only borrow it. They close it only where nothing can follow what they sent over it; then, as when it is
 * lost, another one is opened in its place.
 */
import pRetry from 'p-retry';
import type { Node } from '../types.js';
import { connect, type Connection } from './connection.js';
import { ConnectionError, ImportError, SourceError, StoppedError } from '../errors.js';
import { type Endpoint, printable } from './endpoint.js';
import { ErrorReply, textOf } from './reply.js';
import { measureRoundTrip } from './ask.js';
import { locate } from './control.js';

/** Gives a connection to a node. @throws ConnectionError naming the node. */
export type ConnectNode = (node: Node) => Promise<Connection>;

/** The connections to a server, or to the nodes of a cluster, that are open. */
export class ConnectionPool {
  readonly #open = new Set<Connection>();
  #isClosed = false;

  /** Keeps what is being opened; what comes after the end is closed at once. @throws what that throws. */
  async add(opening: Promise<Connection>): Promise<Connection> {
    const connection = await opening;
    if (this.#isClosed) connection.close();
    else this.#open.add(connection);
    connection.onLost(() => this.#open.delete(connection));
    return connection;
  }

  /** Closes what is open, and no more: others may be opened. */
  renew(): void {
    for (const connection of this.#open) connection.close();
  }

  close(): void {
    this.#isClosed = true;
    this.renew();
  }
}

/** Lends a connection: opens it when it is first asked for, and again after it was lost. */
export function reopening(open: () => Promise<Connection>): () => Promise<Connection>;
/**
 * The same for what belongs to a connection.
 * @param connectionOf finds the connection in what `open` gave.
 */
export function reopening<T>(
  open: () => Promise<T>,
  connectionOf: (opened: T) => Connection,
): () => Promise<T>;
export function reopening<T>(
  open: () => Promise<T>,
  connectionOf = (opened: T) => opened as Connection,
): () => Promise<T> {
  let current: Promise<T> | undefined;
  return () => {
    if (current) return current;
    const opening = open().then((opened) => {
      connectionOf(opened).onLost(() => (current = undefined));
      return opened;
    });
    current = opening;
    // A failure is forgotten, so that the next call tries again.
    opening.catch(() => (current = undefined));
    return opening;
  };
}

/**
 * The same for several servers, such as the nodes of a cluster: to each one a connection of the borrower's own.
 * @param perServer how many, which take turns: more than one where a connection may block (WAIT).
 */
export function lanes<S extends { readonly address: string }>(
  open: (server: S) => Promise<Connection>,
  perServer = 1,
): (server: S) => Promise<Connection> {
  const known = new Map<string, () => Promise<Connection>>();
  let turn = 0;
  return (server) => {
    const id = `${server.address} ${String(turn++ % perServer)}`;
    let lane = known.get(id);
    if (!lane) known.set(id, (lane = reopening(() => open(server))));
    return lane();
  };
}

/*
 * The link to a server that the run can't do without: connected to again when a connection is lost, as long as
 * there is hope, and looked at each time, since it may be another one by then.
 *
 * Hope is shared: many open connections over one link, and once one of them has given up, all
 * give up, or each in its turn would wait as long again.
 */

export interface Link {
  /**
   * Opens a connection, trying again with a growing delay.
   * @throws SourceError when the server has not come back in time, or is of no use any more; every
   *   later call throws the same. StoppedError when the signal came meanwhile.
   */
  open(): Promise<Linked>;
  /** From now on this signal ends all waiting: what still opens is tried once. */
  heed(signal: AbortSignal): void;
  /** Closes what is open, and no more: callers open other connections as they need them. */
  renew(): void;
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
  /** Another way to the same server; undefined: there is none, or none now. */
  readonly through?: () => Endpoint | undefined;
  /** Refuse a server that has become a read-only replica. */
  readonly mustBeWritable: boolean;
  /** Hears of each attempt to open a connection that failed, and is made again. */
  readonly onFailedAttempt?: ((error: Error) => void) | undefined;
}

export function createLink(endpoint: Endpoint, options: LinkOptions): Link {
  const pool = new ConnectionPool();
  let closed = false;
  let givenUp: SourceError | undefined;
  let signal: AbortSignal | undefined;
  const name = printable(endpoint);

  async function attempt(): Promise<Linked> {
    const place = options.through?.() ?? (await locate(endpoint, options.timeoutMs));
    const connection = await pool.add(connect(place, { ...options, isNamed: true }));
    try {
      const info = textOf(await refusing(connection.call('INFO', 'server'), name));
      const role = textOf(await refusing(connection.call('INFO', 'replication'), name));
      if (
        options.mustBeWritable &&
        /^role:slave/m.test(role) &&
        !/^slave_read_only:0/m.test(role)
      ) {
        // Sentinels, or what moves the address to the new master, may not have noticed yet.
        throw new ConnectionError(
          `${name} has become a read-only replica, from which nothing can be moved: start again with its master in --from.`,
        );
      }
      // INFO is answered by a server that is still reading its data, and nothing else is.
      const sign = await connection.call('PING');
      if (sign instanceof ErrorReply && sign.code === 'LOADING') await refusing(sign, name);
      const roundTripMs = await measureRoundTrip(connection);
      return { connection, identity: /^run_id:(\w+)/m.exec(info)?.[1] ?? '', roundTripMs };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** What is finished after the signal may need a connection too, but does not wait for one. */
  function attempts(): Promise<Linked> {
    if (signal?.aborted === true) return attempt();
    return pRetry(attempt, {
      retries: Infinity,
      minTimeout: 50,
      maxTimeout: 2000,
      maxRetryTime: options.retryForMs,
      ...(signal && { signal }),
      onFailedAttempt({ error }) {
        if (!closed && !givenUp) options.onFailedAttempt?.(error);
      },
      shouldRetry: ({ error }) => !closed && !givenUp && error instanceof ConnectionError,
    });
  }

  function whyNot(error: unknown): unknown {
    if (error instanceof SourceError) return (givenUp ??= error);
    if (signal?.aborted === true && (error === signal.reason || error instanceof ConnectionError)) {
      return new StoppedError(`stopped while ${name} was away`, { cause: error });
    }
    if (!(error instanceof ImportError)) return error;
    if (closed) return error;
    return (givenUp ??= new SourceError(
      `the source did not come back within ${String(options.retryForMs / 1000)} s: ${error.message}`,
      { cause: error },
    ));
  }

  return {
    async open() {
      if (givenUp) throw givenUp;
      try {
        return await attempts();
      } catch (error) {
        throw whyNot(error);
      }
    },
    heed(given) {
      signal = given;
    },
    renew() {
      pool.renew();
    },
    close() {
      closed = true;
      pool.close();
    },
  };
}

/** LOADING and the like pass: they count as not having answered. */
async function refusing<T>(answer: Promise<T> | T, name: string): Promise<T> {
  const reply = await answer;
  if (reply instanceof ErrorReply) throw new ConnectionError(`${name} answered: ${reply.text}`);
  return reply;
}
