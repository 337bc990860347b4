/**
 * Whose database a key of a source cluster is in. While its slot moves to another master, the one has the key no
 * more, and the other does not show it yet: it is tried again where it belongs, until it is found there or gone.
 *
 * A master may have been replaced for a while, and be one again. Meanwhile it could not be read, its keys were
 * nobody's who is followed, and it may have got all its data from the other one without a word: so all of them are
 * compared once more.
 */
import { ImportError } from '../errors.js';
import { readDataset } from '../redis/ask.js';
import { connect } from '../redis/connection.js';
import { addressOf, type Endpoint } from '../redis/endpoint.js';
import { slotOf } from '../redis/slot.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Node } from '../types.js';
import type { FollowedDatabase } from './followed-database.js';

const refreshEveryMs = 1000;

export class SourceSlots {
  readonly #topology: ClusterTopology;
  readonly #timeoutMs: number;
  readonly #databases = new Map<string, FollowedDatabase>();
  /** By address, as last seen. */
  readonly #datasets = new Map<string, string>();
  #refreshedMs = -Infinity;

  constructor(topology: ClusterTopology, timeoutMs: number) {
    this.#topology = topology;
    this.#timeoutMs = timeoutMs;
  }

  add(endpoint: Endpoint, database: FollowedDatabase): void {
    this.#databases.set(addressOf(endpoint), database);
  }

  /** By what the cluster said last; undefined: by a master that is not followed. */
  ownerOf(key: Buffer): FollowedDatabase | undefined {
    this.#refreshSoon();
    const topology = this.#topology;
    const node = topology.nodes[topology.owners[slotOf(key, 0, key.length)] as number] as Node;
    return this.#databases.get(addressOf(topology.endpointOf(node)));
  }

  /**
   * Has the keys of a master compared that was none for a while, or was restarted. The first time it only remembers
   * them.
   * @throws ImportError when a slot belongs to a master that is not followed: nobody has heard of what was written
   *   there. TargetError when the cluster is not whole, ConnectionError when a master can't be asked.
   */
  async check(): Promise<void> {
    await this.#topology.refresh();
    const endpoints = this.#topology.masters.map((node) => this.#topology.endpointOf(node));
    for (const [index, endpoint] of endpoints.entries()) {
      if (this.#databases.has(addressOf(endpoint))) continue;
      throw new ImportError(
        `${this.#topology.masters[index]?.address ?? ''} has become a master of the source cluster, and is not followed: start the same command again`,
      );
    }
    await Promise.all(endpoints.map((endpoint) => this.#look(endpoint)));
  }

  async #look(endpoint: Endpoint): Promise<void> {
    const address = addressOf(endpoint);
    const connection = await connect(endpoint, { timeoutMs: this.#timeoutMs });
    try {
      const dataset = await readDataset(connection);
      const before = this.#datasets.get(address) ?? dataset;
      this.#datasets.set(address, dataset);
      if (before === dataset) return;
      const why = `${address} was restarted, or was a replica meanwhile`;
      this.#databases.get(address)?.changed.noteEverything(why);
    } finally {
      connection.close();
    }
  }

  #refreshSoon(): void {
    const nowMs = performance.now();
    if (nowMs - this.#refreshedMs < refreshEveryMs) return;
    this.#refreshedMs = nowMs;
    // Where nobody answers now, it is asked at the next time.
    this.#topology.refresh().catch(() => undefined);
  }
}
