/**
 * Who owns connections: whoever opens them keeps them in a pool, which closes all of them at the end. Those who work
 * with one only borrow it. They close it only where nothing can follow what they sent over it; then, as when it is
 * lost, another one is opened in its place.
 */
import type { Node } from '../types.js';
import type { Connection } from './connection.js';

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
