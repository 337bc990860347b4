/** The connections that move keys under WATCH: a few, because what is watched belongs to a connection. */
import { Gate } from '../../async.js';
import type { Connection } from '../../redis/connection.js';
import type { Node } from '../../types.js';
import { NodePool } from './node-pool.js';
import { type GuardedSource, RelayConnection } from './relay-connection.js';

export class WatchPool {
  readonly #all = new Set<RelayConnection>();
  readonly #free: RelayConnection[] = [];
  readonly #gate = new Gate();
  #lent = 0;

  /** @param size how many connections may be lent at one time. */
  constructor(
    readonly open: () => Promise<GuardedSource>,
    readonly connectNode: (node: Node) => Promise<Connection>,
    readonly size: number,
  ) {}

  /** Lends a connection to the work as soon as one is free. */
  async with<T>(work: (connection: RelayConnection) => Promise<T>): Promise<T> {
    await this.#gate.until(() => this.#lent < this.size && ++this.#lent > 0);
    try {
      const connection = this.#free.pop() ?? (await this.#openAnother());
      let isWell = false;
      try {
        const result = await work(connection);
        isWell = !connection.source.lost;
        return result;
      } finally {
        // After an error nobody knows what is still watched, or owed.
        if (isWell) this.#free.push(connection);
        else {
          this.#all.delete(connection);
          connection.close();
        }
      }
    } finally {
      this.#lent--;
      this.#gate.check();
    }
  }

  /** Waits until none is lent. */
  async idle(): Promise<void> {
    // Whoever waited longer for one may have taken it again.
    while (this.#lent > 0) await this.#gate.until(() => this.#lent === 0);
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }

  async #openAnother(): Promise<RelayConnection> {
    const nodes = new NodePool(this.connectNode, 1);
    const connection = new RelayConnection(await this.open(), nodes);
    this.#all.add(connection);
    return connection;
  }
}
