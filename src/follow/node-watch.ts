/**
 * Notices that a node may lack what it had acknowledged: it was restarted, or another one has taken its
 * place, and replication is asynchronous. What was copied there is not among the changed keys any more, so
 * all keys have to be compared then.
 */
import { readDataset } from '../redis/ask.js';
import { ConnectionPool, type ConnectNode, lanes } from '../redis/pool.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Node } from '../types.js';
import { sum } from './sum.js';

export interface NodeWatchOptions {
  readonly topology: ClusterTopology;
  /** Opens a connection, which is kept. */
  readonly connectNode: ConnectNode;
}

export class NodeWatch {
  readonly #options: NodeWatchOptions;
  readonly #pool = new ConnectionPool();
  readonly #connectionTo: ConnectNode;
  /** By address, as last seen. */
  readonly #datasets = new Map<string, string>();

  /** @param datasets as an earlier run has seen them; empty: there was none. */
  constructor(options: NodeWatchOptions, datasets: Readonly<Record<string, string>> = {}) {
    this.#options = options;
    this.#connectionTo = lanes((node) => this.#pool.add(options.connectNode(node)));
    for (const [address, dataset] of Object.entries(datasets)) {
      this.#datasets.set(address, dataset);
    }
  }

  get datasets(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#datasets);
  }

  /**
   * Looks at all masters; the first time it only remembers them.
   * @returns what has happened since the last look, as one clause; undefined: nothing.
   * @throws ConnectionError when a master can't be asked, TargetError when the cluster is not whole.
   */
  async look(): Promise<string | undefined> {
    const { topology } = this.#options;
    await topology.refresh();
    const isFirst = this.#datasets.size === 0;
    const seen = await Promise.all(
      topology.masters.map(async (node) => ({ node, dataset: await this.#datasetOf(node) })),
    );
    let why: string | undefined;
    for (const { node, dataset } of seen) {
      const before = this.#datasets.get(node.address);
      this.#datasets.set(node.address, dataset);
      if (isFirst || before === dataset) continue;
      why ??=
        before === undefined
          ? `${node.address} has become a master`
          : `${node.address} was restarted, or was a replica meanwhile`;
    }
    return why;
  }

  /** How many keys the masters have, as of the last look. @throws ConnectionError when one is lost. */
  async countKeys(): Promise<number> {
    const counts = await Promise.all(
      this.#options.topology.masters.map(async (node) => {
        const count = await (await this.#connectionTo(node)).call('DBSIZE');
        return typeof count === 'number' ? count : 0;
      }),
    );
    return sum(counts);
  }

  close(): void {
    this.#pool.close();
  }

  async #datasetOf(node: Node): Promise<string> {
    return readDataset(await this.#connectionTo(node));
  }
}
