/**
 * The keys that were changed at the source and not copied since: a set, however often each one was
 * written to, and bounded, however many there are.
 *
 * Those that a sick node holds up (engine/node-health.ts) wait beside the others, by slot, and count as they do. A round
 * takes them once their slot is free again: to look through all of them each time would cost too much.
 */
import { Gate } from '../async.js';
import type { HeldUp, KeyFailure, Mover, Outcome } from '../types.js';

/** About 200 MB where names are long. Beyond it, all keys are compared instead. */
const mostNames = 1_000_000;

/** Keys, as latin1 strings of their bytes, and since when each one waits, in ms of `performance.now()`. */
export type WaitingNames = Map<string, number>;

/** What was changed since the last taking. */
export interface Changes {
  /** Each once; they are the taker's. */
  readonly names: WaitingNames;
  /** Why any key may have changed; undefined: just those. */
  readonly everything: string | undefined;
  /** Whether the cluster may have keys whose deletion nobody has told of. */
  readonly strays: boolean;
  /** When the first of them was heard of, in ms of `performance.now()`. */
  readonly sinceMs: number;
}

interface HeldUpNames {
  readonly names: WaitingNames;
  /** Since when the oldest waits. */
  sinceMs: number;
}

/** Where no node is sick. */
export const nothingHeldUp: HeldUp = { any: false, has: () => false };

export class ChangedKeys {
  /** The oldest first. */
  #names: WaitingNames = new Map();
  /** By slot. */
  readonly #heldUp = new Map<number, HeldUpNames>();
  #heldUpCount = 0;
  #everything: string | undefined;
  #strays = false;
  /** Since when everything waits, or strays do. */
  #allSinceMs = Infinity;
  #heard = 0;
  readonly #gate = new Gate();

  /** Changes that were heard of so far, each one counted. */
  get heard(): number {
    return this.#heard;
  }

  /** Keys that wait to be copied, and one for keys that nobody knows; Infinity: all of them. */
  get count(): number {
    if (this.#everything !== undefined) return Infinity;
    return this.#names.size + this.#heldUpCount + (this.#strays ? 1 : 0);
  }

  /** Of these, those that were given back because they were held up. */
  get heldUpCount(): number {
    return this.#heldUpCount;
  }

  /** Whether all that waits is known by the feed: what was told of beside it is forgotten by a kill. */
  get isOfFeed(): boolean {
    return this.#everything === undefined && !this.#strays;
  }

  /** When the first of those that wait was heard of, in ms of `performance.now()`; undefined: none waits. */
  get sinceMs(): number | undefined {
    if (this.count === 0) return undefined;
    const [first = Infinity] = this.#names.values();
    let oldestMs = Math.min(first, this.#allSinceMs);
    for (const { sinceMs } of this.#heldUp.values()) oldestMs = Math.min(oldestMs, sinceMs);
    return oldestMs;
  }

  note(name: string): void {
    this.#heard++;
    if (this.count === 0) this.#wakeSoon();
    if (!this.#names.has(name)) this.#names.set(name, performance.now());
    this.#bound();
  }

  /**
   * It was taken, and could not be copied: it waits on.
   * @param slot to be free before it is taken again.
   * @param sinceMs when it was heard of.
   */
  giveBack(name: string, slot: number, sinceMs: number): void {
    if (this.count === 0) this.#wakeSoon();
    const held = this.#heldUp.get(slot) ?? { names: new Map<string, number>(), sinceMs };
    this.#heldUp.set(slot, held);
    held.sinceMs = Math.min(held.sinceMs, sinceMs);
    const { names } = held;
    if (!names.has(name)) this.#heldUpCount++;
    names.set(name, Math.min(sinceMs, names.get(name) ?? Infinity));
    this.#bound();
  }

  /** @param why one clause in plain English. */
  noteEverything(why: string): void {
    this.#allSinceMs = Math.min(this.sinceMs ?? this.#beganNow(), this.#allSinceMs);
    this.#everything ??= why;
    // They are among all of them.
    this.#names = new Map();
    this.#heldUp.clear();
    this.#heldUpCount = 0;
  }

  /** The cluster may have keys whose deletion nobody has told of; all others are copied anyway. */
  noteStrays(): void {
    const nowMs = this.count === 0 ? this.#beganNow() : performance.now();
    this.#allSinceMs = Math.min(nowMs, this.#allSinceMs);
    this.#strays = true;
  }

  /**
   * Takes what waits. A key that is changed from now on waits again: take it before you read it.
   * @param heldUp leaves its keys waiting, and what needs all nodes while any is sick.
   */
  take(heldUp: HeldUp = nothingHeldUp): Changes {
    const sinceMs = performance.now();
    const names = this.#names;
    this.#names = new Map();
    this.#takeFreed(names, heldUp);
    if (heldUp.any) {
      return {
        names,
        everything: undefined,
        strays: false,
        sinceMs: Math.min(sinceMs, oldestOf(names)),
      };
    }
    const taken = {
      names,
      everything: this.#everything,
      strays: this.#strays || this.#everything !== undefined,
      sinceMs: Math.min(sinceMs, this.#allSinceMs, oldestOf(names)),
    };
    this.#everything = undefined;
    this.#strays = false;
    this.#allSinceMs = Infinity;
    return taken;
  }

  /** Waits until something waits to be copied, or `isOver` holds, which is asked at each `wake`. */
  some(isOver: () => boolean): Promise<void> {
    return this.#gate.until(() => this.count > 0 || isOver());
  }

  wake(): void {
    this.#gate.check();
  }

  /** Those whose slots are free now, with the others. */
  #takeFreed(names: WaitingNames, heldUp: HeldUp): void {
    for (const [slot, held] of this.#heldUp) {
      if (heldUp.has(slot)) continue;
      for (const [name, sinceMs] of held.names) names.set(name, sinceMs);
      this.#heldUp.delete(slot);
      this.#heldUpCount -= held.names.size;
    }
  }

  #bound(): void {
    if (this.#names.size + this.#heldUpCount > mostNames) {
      this.noteEverything('more keys were changed than are remembered');
    }
  }

  #beganNow(): number {
    this.#wakeSoon();
    return performance.now();
  }

  /** After the change itself: whoever waits takes it. */
  #wakeSoon(): void {
    queueMicrotask(() => {
      this.#gate.check();
    });
  }
}

/** Since when the oldest one waits; Infinity: there is none. */
export function oldestOf(names: WaitingNames): number {
  let oldestMs = Infinity;
  for (const sinceMs of names.values()) oldestMs = Math.min(oldestMs, sinceMs);
  return oldestMs;
}

/*
 * Keys that could not be copied while the source is followed: each is tried again after a while, and counts
 * until it has been copied.
 */

const tryAgainMs = 1000;

export class UnmovedKeys {
  readonly #changedOf: (name: string) => Pick<ChangedKeys, 'note'>;
  readonly #failures = new Map<string, KeyFailure>();
  #timer: NodeJS.Timeout | undefined;

  /** @param changedOf among which changed keys a key waits for its next try, by its name in latin1. */
  constructor(changedOf: (name: string) => Pick<ChangedKeys, 'note'>) {
    this.#changedOf = changedOf;
  }

  /** Of those that nobody tries at this moment. */
  get count(): number {
    return this.#failures.size;
  }

  /** One of them; undefined: there is none. */
  get first(): KeyFailure | undefined {
    return this.#failures.values().next().value;
  }

  /** The same mover, none of whose failures is for good. */
  retrying(mover: Mover): Mover {
    return {
      get name() {
        return mover.name;
      },
      move: async (batch) => this.#keep(await mover.move(batch)),
    };
  }

  /** It is tried again after a while. */
  add(failure: KeyFailure): void {
    this.#failures.set(failure.key.toString('latin1'), failure);
    this.#timer ??= setTimeout(() => {
      this.#tryAgain();
    }, tryAgainMs);
  }

  /** Lets those that wait be tried at once. */
  tryNow(): void {
    clearTimeout(this.#timer);
    this.#tryAgain();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #keep(outcome: Outcome): Outcome {
    const { failures } = outcome;
    if (failures.length === 0) return outcome;
    for (const failure of failures) this.add(failure);
    // They are counted when they have been copied, as those that are copied again.
    const repeated = outcome.repeated + failures.length;
    return { ...outcome, repeated, conflicting: 0, failed: 0, failures: [] };
  }

  #tryAgain(): void {
    this.#timer = undefined;
    const names = [...this.#failures.keys()];
    this.#failures.clear();
    for (const name of names) this.#changedOf(name).note(name);
  }
}
