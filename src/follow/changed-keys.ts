/**
 * The keys that were changed at the source and not copied since: a set, however often each one was
 * written to, and bounded, however many there are.
 */
import { Gate } from '../async.js';
import type { KeyFailure, Mover, Outcome } from '../types.js';

/** About 200 MB where names are long. Beyond it, all keys are compared instead. */
const mostNames = 1_000_000;

/** What was changed since the last taking. */
export interface Changes {
  /** Keys, as latin1 strings of their bytes; each once. */
  readonly names: ReadonlySet<string>;
  /** Why any key may have changed; undefined: just those. */
  readonly everything: string | undefined;
  /** Whether the cluster may have keys whose deletion nobody has told of. */
  readonly strays: boolean;
  /** When the first of them was heard of, in ms of `performance.now()`. */
  readonly sinceMs: number;
}

export class ChangedKeys {
  #names = new Set<string>();
  #everything: string | undefined;
  #strays = false;
  #sinceMs = 0;
  #heard = 0;
  readonly #gate = new Gate();

  /** Changes that were heard of so far, each one counted. */
  get heard(): number {
    return this.#heard;
  }

  /** Keys that wait to be copied, and one for keys that nobody knows; Infinity: all of them. */
  get count(): number {
    if (this.#everything !== undefined) return Infinity;
    return this.#names.size + (this.#strays ? 1 : 0);
  }

  /** Whether all that waits is known by the feed: what was told of beside it is forgotten by a kill. */
  get isOfFeed(): boolean {
    return this.#everything === undefined && !this.#strays;
  }

  /** When the first of those that wait was heard of, in ms of `performance.now()`; undefined: none waits. */
  get sinceMs(): number | undefined {
    return this.count === 0 ? undefined : this.#sinceMs;
  }

  note(name: string): void {
    this.#heard++;
    if (this.count === 0) this.#begin();
    this.#names.add(name);
    if (this.#names.size > mostNames) {
      this.noteEverything('more keys were changed than are remembered');
    }
  }

  /** @param why one clause in plain English. */
  noteEverything(why: string): void {
    if (this.count === 0) this.#begin();
    this.#everything ??= why;
    // They are among all of them.
    this.#names = new Set();
  }

  /** The cluster may have keys whose deletion nobody has told of; all others are copied anyway. */
  noteStrays(): void {
    if (this.count === 0) this.#begin();
    this.#strays = true;
  }

  /** Takes what waits. A key that is changed from now on waits again: take it before you read it. */
  take(): Changes {
    const taken = {
      names: this.#names,
      everything: this.#everything,
      strays: this.#strays || this.#everything !== undefined,
      sinceMs: this.count === 0 ? performance.now() : this.#sinceMs,
    };
    this.#names = new Set();
    this.#everything = undefined;
    this.#strays = false;
    return taken;
  }

  /** Waits until something waits to be copied, or `isOver` holds, which is asked at each `wake`. */
  some(isOver: () => boolean): Promise<void> {
    return this.#gate.until(() => this.count > 0 || isOver());
  }

  wake(): void {
    this.#gate.check();
  }

  #begin(): void {
    this.#sinceMs = performance.now();
    // After the change itself: whoever waits takes it.
    queueMicrotask(() => {
      this.#gate.check();
    });
  }
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
