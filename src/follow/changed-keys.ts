/**
 * The keys that were changed at the source and not copied since: a set, however often each one was
 * written to, and bounded, however many there are.
 */
import { Gate } from '../async.js';

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
