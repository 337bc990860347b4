/**
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
