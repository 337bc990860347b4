/**
 * Whose database a key of a source cluster is in. While its slot moves to another master, the one has the key no
 * more, and the other does not show it yet: it is tried again where it belongs, until it is found there or gone.
 */
import { ImportError } from '../errors.js';
import { addressOf, type Endpoint } from '../redis/endpoint.js';
import { slotOf } from '../redis/slot.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Node } from '../types.js';
import type { FollowedDatabase } from './followed-database.js';

const refreshEveryMs = 1000;

export class SourceSlots {
  readonly #topology: ClusterTopology;
  readonly #databases = new Map<string, FollowedDatabase>();
  #refreshedMs = -Infinity;

  constructor(topology: ClusterTopology) {
    this.#topology = topology;
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
   * @throws ImportError when a slot belongs to a master that is not followed: nobody has heard of what was written
   *   there. TargetError when the cluster is not whole.
   */
  async check(): Promise<void> {
    await this.#topology.refresh();
    for (const node of this.#topology.masters) {
      if (this.#databases.has(addressOf(this.#topology.endpointOf(node)))) continue;
      throw new ImportError(
        `${node.address} has become a master of the source cluster, and is not followed: start the same command again`,
      );
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
