/**
 * Whose database a key of a source cluster is in. While its slot moves to another master, the one has the key no
 * more, and the other does not show it yet: it is tried again where it belongs, until it is found there or gone.
 *
 * A master may have been replaced for a while, and be one again. Meanwhile it could not be read, its keys were
 * nobody's who is followed, and it may have got all its data from the other one without a word: so all of them are
 * compared once more. Which slots are still to be searched for deletions stands at the end.
 */
import { ImportError } from '../errors.js';
import { readDataset } from '../redis/ask.js';
import { connect } from '../redis/connection.js';
import { addressOf, type Endpoint } from '../redis/endpoint.js';
import { slotOf } from '../redis/frames.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Node } from '../types.js';
import type { ToldOfChanges } from './all-sources.js';

const refreshEveryMs = 1000;

/** A database that is followed, wherever that is. */
export interface SlotOwner {
  readonly changed: ToldOfChanges;
}

export class SourceSlots {
  readonly #topology: ClusterTopology;
  readonly #timeoutMs: number;
  readonly #databases = new Map<string, SlotOwner>();
  /** By address, as last seen. */
  readonly #datasets = new Map<string, string>();
  readonly #unsearched = new UnsearchedSlots<SlotOwner>();
  #refreshedMs = -Infinity;

  constructor(topology: ClusterTopology, timeoutMs: number) {
    this.#topology = topology;
    this.#timeoutMs = timeoutMs;
  }

  add(endpoint: Endpoint, database: SlotOwner): void {
    this.#databases.set(addressOf(endpoint), database);
  }

  /** By what the cluster said last; undefined: by a master that is not followed. */
  ownerOf(key: Buffer): SlotOwner | undefined {
    this.#refreshSoon();
    return this.#databaseAt(this.#topology.owners[slotOf(key, 0, key.length)] as number);
  }

  /** Whether no slot is left that has to be searched for keys that are gone: a later start would not know of it. */
  get isSearched(): boolean {
    return this.#unsearched.isDone;
  }

  /**
   * Begins a search for keys that a database has not any more.
   * @returns the slots in which it is the one that knows.
   * @throws TargetError when the cluster is not whole.
   */
  async beginSearch(database: SlotOwner): Promise<SlotSearch> {
    await this.#refresh();
    return this.#unsearched.begin(database);
  }

  /** @throws TargetError when the cluster is not whole. */
  async endSearch(database: SlotOwner, search: SlotSearch): Promise<void> {
    await this.#refresh();
    this.#unsearched.end(database, search);
    this.#searchTheRest();
  }

  /**
   * Has the keys of a master compared that was none for a while, or was restarted, and slots searched that were
   * nobody's meanwhile. The first time it only remembers the masters.
   * @throws ImportError when a slot belongs to a master that is not followed: nobody has heard of what was written
   *   there. TargetError when the cluster is not whole, ConnectionError when a master can't be asked.
   */
  async check(): Promise<void> {
    await this.#refresh();
    const endpoints = this.#topology.masters.map((node) => this.#topology.endpointOf(node));
    for (const [index, endpoint] of endpoints.entries()) {
      if (this.#databases.has(addressOf(endpoint))) continue;
      throw new ImportError(
        `${this.#topology.masters[index]?.address ?? ''} has become a master of the source cluster, and is not followed: start the same command again`,
      );
    }
    await Promise.all(endpoints.map((endpoint) => this.#look(endpoint)));
    this.#searchTheRest();
  }

  #databaseAt(index: number): SlotOwner | undefined {
    const node = this.#topology.nodes[index] as Node;
    return this.#databases.get(addressOf(this.#topology.endpointOf(node)));
  }

  async #refresh(): Promise<void> {
    await this.#topology.refresh();
    const databases = this.#topology.nodes.map((_, index) => this.#databaseAt(index));
    this.#unsearched.learn(Array.from(this.#topology.owners, (index) => databases[index]));
  }

  #searchTheRest(): void {
    for (const { changed } of this.#unsearched.owners) changed.noteStrays();
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
    this.#refresh().catch(() => undefined);
  }
}

/*
 * Slots of a source cluster in which the target may have keys whose deletion nobody has told of. Each is searched where
 * it belongs at that time. So one that moves to another master while these search theirs would be searched by none:
 * it is remembered until it was.
 */

/** @template Owner a master of the source. */
export class UnsearchedSlots<Owner> {
  /** By slot; undefined: it belongs to nobody who is followed. */
  #owners: readonly (Owner | undefined)[] = [];
  /** Grows each time that the owners are learnt. */
  #time = 0;
  /** Slots that an owner had before, by when they were gone. */
  readonly #lost = new Map<Owner, Map<number, number>>();
  readonly #left = new Set<number>();
  /** One that failed is over when its owner begins another. */
  readonly #underWay = new Map<Owner, SlotSearch>();

  /** @param owners by slot, as they are now. */
  learn(owners: readonly (Owner | undefined)[]): void {
    this.#time++;
    for (const [slot, before] of this.#owners.entries()) {
      if (before === undefined || owners[slot] === before) continue;
      const lost = this.#lost.get(before) ?? new Map<number, number>();
      this.#lost.set(before, lost.set(slot, this.#time));
    }
    this.#owners = owners;
  }

  /**
   * Begins a search, because deletions at an owner may have been missed: in all slots that it has, or had.
   * To be called when the owners have just been learnt.
   */
  begin(owner: Owner): SlotSearch {
    for (const slot of this.#lost.get(owner)?.keys() ?? []) this.#left.add(slot);
    for (const [slot, one] of this.#owners.entries()) if (one === owner) this.#left.add(slot);
    const slots = new Set([...this.#left].filter((slot) => this.#owners[slot] === owner));
    const search = { slots, time: this.#time };
    this.#underWay.set(owner, search);
    return search;
  }

  /** The search is over, and the owners have just been learnt. */
  end(owner: Owner, { slots, time }: SlotSearch): void {
    this.#underWay.delete(owner);
    for (const slot of slots) {
      // It may have been somewhere else meanwhile.
      if (this.#owners[slot] !== owner) continue;
      this.#left.delete(slot);
      for (const lost of this.#lost.values()) {
        if ((lost.get(slot) ?? Infinity) <= time) lost.delete(slot);
      }
    }
  }

  /** Whether none is left, whoever has it. */
  get isDone(): boolean {
    return this.#left.size === 0;
  }

  /** Who has slots that are still to be searched, and are not in a search that is under way. */
  get owners(): ReadonlySet<Owner> {
    const owners = new Set<Owner>();
    for (const slot of this.#left) {
      const owner = this.#owners[slot];
      if (owner !== undefined && !this.#underWay.get(owner)?.slots.has(slot)) owners.add(owner);
    }
    return owners;
  }
}

export interface SlotSearch {
  readonly slots: ReadonlySet<number>;
  readonly time: number;
}
