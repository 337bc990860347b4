/**
 * Which way batches take: the main line, whose guard fails when anybody writes anything, or the
 * slower watched lines, whose guard fails only for the keys that were written.
 *
 * After a refusal the watched lines are taken for a while, then a single batch tries the main line
 * again; each time that is refused, the while doubles.
 */
/** What a choice rests on. */
export interface Chosen {
  /** The guard refused, because somebody wrote meanwhile. */
  readonly changed: boolean;
}

export interface GuardChooser {
  /**
   * Moves a batch one way or the other.
   */
  choose<T extends Chosen>(viaMain: () => Promise<T>, viaWatch: () => Promise<T>): Promise<T>;
  /** The main line's guard can't work at this source at all. */
  forbidMain(): void;
}

const shortestWhile = 32;
const longestWhile = 4096;

/**
 * @param watchIdle settles when no watched line is at work: their deletes are writes as well.
 * @param mainAllowed whether the main line may be tried at all.
 */
export function createGuardChooser(
  watchIdle: () => Promise<void>,
  mainAllowed: boolean,
): GuardChooser {
  const main = { trusted: mainAllowed, allowed: mainAllowed };
  let watchedLeft = 0;
  let whileBatches = shortestWhile;
  let probe: Promise<void> | undefined;

  async function tryMain<T extends Chosen>(viaMain: () => Promise<T>): Promise<T> {
    await watchIdle();
    const moved = await viaMain();
    // It may have been forbidden meanwhile.
    main.trusted = !moved.changed && main.allowed;
    if (main.trusted) whileBatches = shortestWhile;
    else {
      watchedLeft = whileBatches;
      whileBatches = Math.min(longestWhile, whileBatches * 2);
    }
    return moved;
  }

  /** Of the batches that are refused together, one starts the while. */
  function distrust(): void {
    if (!main.trusted) return;
    main.trusted = false;
    watchedLeft = whileBatches;
  }

  return {
    forbidMain() {
      main.trusted = false;
      main.allowed = false;
    },
    async choose(viaMain, viaWatch) {
      while (probe) await probe;
      if (main.trusted) {
        const moved = await viaMain();
        if (moved.changed) distrust();
        return moved;
      }
      if (watchedLeft > 0 || !main.allowed) {
        watchedLeft--;
        return viaWatch();
      }
      const probing = tryMain(viaMain).finally(() => (probe = undefined));
      probe = probing.then(
        () => undefined,
        () => undefined,
      );
      return probing;
    },
  };
}
