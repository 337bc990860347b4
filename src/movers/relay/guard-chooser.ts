/**
 * Which way batches take: the main connection, whose guard fails when anybody writes anything, or the
 * slower watched connections, whose guard fails only for the keys that were written.
 *
 * After a refusal the watched connections are taken for a while, then a single batch tries the main
 * connection again; each time that is refused, the while doubles.
 */
/** What a choice rests on. */
export interface Chosen {
  /** The guard refused, because somebody wrote meanwhile. */
  readonly changed: boolean;
}

const shortestWhile = 32;
const longestWhile = 4096;

export class GuardChooser {
  #isTrusted: boolean;
  #isAllowed: boolean;
  #watchedLeft = 0;
  #whileBatches = shortestWhile;
  #probe: Promise<void> | undefined;

  /**
   * @param watchIdle settles when no watched connection is at work: their deletes are writes as well.
   * @param mainAllowed whether the main connection may be tried at all.
   */
  constructor(
    readonly watchIdle: () => Promise<void>,
    mainAllowed: boolean,
  ) {
    this.#isTrusted = mainAllowed;
    this.#isAllowed = mainAllowed;
  }

  /** The main connection's guard can't work at this source at all. */
  forbidMain(): void {
    this.#isTrusted = false;
    this.#isAllowed = false;
  }

  /** Moves a batch one way or the other. */
  async choose<T extends Chosen>(
    viaMain: () => Promise<T>,
    viaWatch: () => Promise<T>,
  ): Promise<T> {
    while (this.#probe) await this.#probe;
    if (this.#isTrusted) {
      const moved = await viaMain();
      if (moved.changed) this.#distrust();
      return moved;
    }
    if (this.#watchedLeft > 0 || !this.#isAllowed) {
      this.#watchedLeft--;
      return viaWatch();
    }
    const probing = this.#tryMain(viaMain).finally(() => (this.#probe = undefined));
    this.#probe = probing.then(
      () => undefined,
      () => undefined,
    );
    return probing;
  }

  /** Of the batches that are refused together, one starts the while. */
  #distrust(): void {
    if (!this.#isTrusted) return;
    this.#isTrusted = false;
    this.#watchedLeft = this.#whileBatches;
  }

  async #tryMain<T extends Chosen>(viaMain: () => Promise<T>): Promise<T> {
    await this.watchIdle();
    const moved = await viaMain();
    // It may have been forbidden meanwhile.
    this.#isTrusted = !moved.changed && this.#isAllowed;
    if (this.#isTrusted) this.#whileBatches = shortestWhile;
    else {
      this.#watchedLeft = this.#whileBatches;
      this.#whileBatches = Math.min(longestWhile, this.#whileBatches * 2);
    }
    return moved;
  }
}
