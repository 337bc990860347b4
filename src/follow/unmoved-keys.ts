/**
 * Keys that could not be copied while the source is followed: each is tried again after a while, and counts
 * until it has been copied.
 */
import type { KeyFailure, Mover, Outcome } from '../types.js';
import type { ChangedKeys } from './changed-keys.js';

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
      close() {
        mover.close();
      },
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
