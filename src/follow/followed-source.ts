/**
 * A source that is copied and followed: its keys as it lists them, and then, in rounds, those that were
 * changed since.
 *
 * Three rules make the cluster equal to the source in the end, whatever commands change it:
 *
 * - A key is taken from those that wait before it is read, so that a later change is never forgotten.
 * - A round begins once everything that is under way has come to rest, so that an older value never lands
 *   on a newer one. A change that is heard during a round waits for the next one.
 * - What the source does not have any more is deleted at its node (policy.ts).
 *
 * Rounds go on while the first copy is still under way: what waits is bounded then, and little is left at
 * its end.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Gate } from '../async.js';
import { ImportError } from '../errors.js';
import { keysBuilder, noKeys } from '../redis/keys.js';
import type { Keys, Page, Source } from '../types.js';
import type { ChangedKeys, Changes } from './changed-keys.js';

export interface FollowedSourceOptions {
  readonly changed: ChangedKeys;
  /** How many keys a page should have. */
  pageKeys(): number;
  /**
   * Keys that the cluster has and the source has not: nobody knows when they were deleted.
   * @throws ImportError when a server can't be asked: it is asked once more then.
   */
  strays(): AsyncIterable<Page>;
  /** The first copy was completed by an earlier run, and what has changed since is heard of. */
  readonly isCopied: boolean;
  /** Waits until the first copy may begin. @returns what to call at its end. */
  turn(isOver: () => boolean): Promise<() => void>;
  /** Leaves out keys that are another source's. */
  ownKeys(page: Keys): Keys | Promise<Keys>;
  /** Hears that a round takes what waits. */
  roundBegins(): void;
  /** Hears of the end of each round. */
  roundEnded(round: Round): void;
}

export interface Round {
  /** How many keys were copied again; Infinity: all. */
  readonly keys: number;
  readonly tookMs: number;
  /** How long the first of its changes had to wait until its key was copied. */
  readonly lagMs: number;
}

/** While the first copy is under way: each round lets the flow run dry. */
const roundEveryMs = 1000;
/** A key that is written to all the time is not copied more often than that. */
const restMs = 20;
/** How long a node that could not be asked for its keys is left alone. */
const patienceMs = 500;

const atRest: Page = { ...noKeys, intent: 'rest' };

export class FollowedSource implements Source {
  readonly isReplayable = true;
  readonly isFollowed = true;
  readonly #first: Source;
  readonly #options: FollowedSourceOptions;
  #isOver = false;
  #isCopied = false;
  #roundsBegun = 0;
  #waiting: { readonly after: number; readonly go: () => void }[] = [];
  #isHurried = false;
  #isFrozen = false;
  #isInRound = false;
  readonly #gate = new Gate();
  #failure: Error | undefined;

  constructor(first: Source, options: FollowedSourceOptions) {
    this.#first = first;
    this.#options = options;
  }

  get name(): string {
    return this.#first.name;
  }
  get estimatedKeys(): number {
    return this.#first.estimatedKeys;
  }
  get expectedKeys(): number | undefined {
    return this.#first.expectedKeys;
  }
  get progress(): number {
    return this.#isCopied ? 1 : this.#first.progress;
  }

  /** The first copy is complete. */
  get isCopied(): boolean {
    return this.#isCopied;
  }

  /** Whether rounds follow one another without a rest. */
  hurry(isHurried: boolean): void {
    this.#isHurried = isHurried;
    this.#options.changed.wake();
  }

  /** Waits for the end of a round that begins from now on. */
  nextRound(): Promise<void> {
    return new Promise((go) => {
      this.#waiting.push({ after: this.#roundsBegun, go });
      this.#options.changed.wake();
    });
  }

  /**
   * Once it has resolved, no round is under way, and none begins until `thaw`: what happens to a key at the source
   * does not reach the cluster any more.
   */
  freeze(): Promise<void> {
    this.#isFrozen = true;
    return this.#gate.until(() => !this.#isInRound);
  }

  thaw(): void {
    this.#isFrozen = false;
    this.#gate.check();
  }

  /** Pages end with this: the feed can't go on. */
  fail(error: Error): void {
    this.#failure = error;
    this.end();
  }

  /** No further round is begun. */
  end(): void {
    this.#isOver = true;
    this.#options.changed.wake();
    this.#gate.check();
  }

  async *pages(): AsyncIterable<Page> {
    const { changed } = this.#options;
    if (!this.#options.isCopied) {
      const copied = await this.#options.turn(() => this.#isOver);
      try {
        if (!this.#isOver) yield* this.#firstCopy();
      } finally {
        copied();
      }
    }
    if (this.#isDone()) return;
    yield atRest;
    this.#isCopied = true;
    // Its end says that the first copy is complete, also where nothing changes.
    yield* this.#round();
    for (;;) {
      await changed.some(() => this.#isOver || this.#waiting.length > 0);
      await this.#gate.until(() => !this.#isFrozen || this.#isOver);
      if (this.#isDone()) return;
      yield* this.#round();
      if (!this.#isHurried && this.#waiting.length === 0) await delay(restMs);
    }
  }

  async *#firstCopy(): AsyncIterable<Page> {
    const { changed } = this.#options;
    let roundAtMs = performance.now();
    for await (const page of this.#listed()) {
      yield page;
      if (this.#isDone()) return;
      if (changed.count === 0 || performance.now() - roundAtMs < roundEveryMs) continue;
      // What all keys have to be looked at for can wait until they have been.
      if (changed.count !== Infinity) yield* this.#round();
      roundAtMs = performance.now();
    }
  }

  async *#listed(): AsyncIterable<Page> {
    for await (const page of this.#first.pages()) yield await this.#options.ownKeys(page);
  }

  #isDone(): boolean {
    if (this.#failure) throw this.#failure;
    return this.#isOver;
  }

  async *#round(): AsyncIterable<Page> {
    const startedMs = performance.now();
    this.#roundsBegun++;
    this.#isInRound = true;
    yield atRest;
    this.#options.roundBegins();
    const taken = this.#options.changed.take();
    yield* this.#pagesOf(taken);
    // When another page is asked for, these are where they should be.
    yield atRest;
    const nowMs = performance.now();
    this.#options.roundEnded({
      keys: taken.everything === undefined ? taken.names.size : Infinity,
      tookMs: nowMs - startedMs,
      lagMs: nowMs - taken.sinceMs,
    });
    const ended = this.#roundsBegun;
    const done = this.#waiting.filter(({ after }) => after < ended);
    this.#waiting = this.#waiting.filter(({ after }) => after >= ended);
    for (const { go } of done) go();
    this.#isInRound = false;
    this.#gate.check();
  }

  async *#pagesOf({ names, everything, strays }: Changes): AsyncIterable<Page> {
    const pageKeys = this.#options.pageKeys();
    const page = keysBuilder(Math.min(pageKeys, names.size));
    for (const name of names) {
      page.addKey(Buffer.from(name, 'latin1'));
      if (page.count >= pageKeys) yield await this.#again(page.take());
    }
    if (page.count > 0) yield await this.#again(page.take());
    if (everything !== undefined) {
      for await (const listed of this.#listed()) yield { ...listed, intent: 'again' };
    }
    if (!strays) return;
    try {
      for await (const stray of this.#options.strays()) yield { ...stray, intent: 'again' };
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      // A node may be away for a moment.
      await delay(patienceMs);
      this.#options.changed.noteStrays();
    }
  }

  async #again(page: Keys): Promise<Page> {
    return { ...(await this.#options.ownKeys(page)), intent: 'again' };
  }
}
