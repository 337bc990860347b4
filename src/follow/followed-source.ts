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
 * A node that is sick holds up its own keys alone: behind the first copy a round begins at a lull, at which what does
 * not come to rest is set aside, and takes only keys of which nothing is under way (engine/node-health.ts). What is held up
 * is given back, and waits for a later round. So such a round is not whole: what has waited when it began may not be
 * in the cluster at its end. The first copy, and what needs all nodes (a look at all keys, a search for strays), wait
 * until nothing is under way at all.
 *
 * Rounds go on while the first copy is still under way: what waits is bounded then, and little is left at
 * its end.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Gate } from '../async.js';
import { ImportError } from '../errors.js';
import { keyAt, keysBuilder, noKeys, slotAt } from '../redis/frames.js';
import type { HeldUp, Keys, Page, Source } from '../types.js';
import { type ChangedKeys, type Changes, nothingHeldUp, oldestOf } from './changed-keys.js';

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
  /** All that waited when it began is where it should be: no node has held anything up. */
  readonly isWhole: boolean;
}

/** While the first copy is under way: each round lets the flow run dry. */
const roundEveryMs = 1000;
/** A key that is written to all the time is not copied more often than that. */
const restMs = 20;
/** How long a node that could not be asked for its keys is left alone: for so many times what asking it took. */
const patienceMs = 500;
const patience = 10;

const atRest: Page = { ...noKeys, intent: 'rest' };
const atLull: Page = { ...noKeys, intent: 'lull' };

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
  /** At the end of the last round nothing was under way. */
  #isStill = false;
  /** The last round was. */
  #isWhole = false;
  #heldUp = nothingHeldUp;
  /** What the present round has taken, but for what was given back. */
  #taken: Changes | undefined;
  /** Before that they are not searched for. */
  #straysAtMs = 0;
  /** In the present round. */
  #hasLeftStrays = false;
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

  /** Waits for the end of a round that begins from now on, and is whole. */
  nextRound(): Promise<void> {
    return new Promise((go) => {
      this.#waiting.push({ after: this.#roundsBegun, go });
      this.#options.changed.wake();
    });
  }

  /**
   * Once it has resolved, nothing is under way, and no round begins until `thaw`: what happens to a key at the source
   * does not reach the cluster any more. As long as a node holds keys up, rounds go on for those of the others.
   */
  freeze(): Promise<void> {
    this.#isFrozen = true;
    return this.#gate.until(() => !this.#isInRound && this.#isStill);
  }

  thaw(): void {
    this.#isFrozen = false;
    this.#gate.check();
  }

  /** They wait for a later round. */
  giveBack(keys: Keys): void {
    const { changed } = this.#options;
    const { names, sinceMs = performance.now() } = this.#taken ?? {};
    for (let place = 0; place < keys.count; place++) {
      const name = keyAt(keys, place).toString('latin1');
      changed.giveBack(name, slotAt(keys, place), names?.get(name) ?? sinceMs);
      names?.delete(name);
    }
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

  async *pages(heldUp: HeldUp = nothingHeldUp): AsyncIterable<Page> {
    const { changed } = this.#options;
    this.#heldUp = heldUp;
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
    yield* this.#round(atLull);
    for (;;) {
      await changed.some(() => this.#isOver || this.#waiting.length > 0);
      await this.#gate.until(() => !this.#isFrozen || !this.#isStill || this.#isOver);
      if (this.#isDone()) return;
      yield* this.#round(atLull);
      // What is held up waits however often it is asked for.
      const isHurried = this.#isWhole && (this.#isHurried || this.#waiting.length > 0);
      if (!isHurried) await delay(restMs);
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
      if (changed.count !== Infinity) yield* this.#round(atRest);
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

  /** @param rest what lets come to rest what is under way, ahead of it and at its end. */
  async *#round(rest: Page): AsyncIterable<Page> {
    const { changed } = this.#options;
    const startedMs = performance.now();
    this.#roundsBegun++;
    this.#isInRound = true;
    yield rest;
    this.#options.roundBegins();
    const isOfAll = !this.#heldUp.any;
    const taken = changed.take(this.#heldUp);
    const taking = taken.names.size;
    this.#taken = taken;
    this.#hasLeftStrays = false;
    yield* this.#pagesOf(taken);
    // When another page is asked for, these are where they should be, or were given back.
    yield rest;
    this.#taken = undefined;
    this.#isStill = !this.#heldUp.any;
    const isWhole = isOfAll && this.#isStill && changed.heldUpCount === 0 && !this.#hasLeftStrays;
    const nowMs = performance.now();
    const { names, everything, sinceMs } = taken;
    this.#options.roundEnded({
      keys: everything === undefined ? names.size : Infinity,
      tookMs: nowMs - startedMs,
      lagMs: nowMs - (names.size === taking ? sinceMs : Math.min(nowMs, oldestOf(names))),
      isWhole,
    });
    if (isWhole) this.#tellWaiting();
    this.#isWhole = isWhole;
    this.#isInRound = false;
    this.#gate.check();
  }

  #tellWaiting(): void {
    const ended = this.#roundsBegun;
    const done = this.#waiting.filter(({ after }) => after < ended);
    this.#waiting = this.#waiting.filter(({ after }) => after >= ended);
    for (const { go } of done) go();
  }

  async *#pagesOf({ names, everything, strays }: Changes): AsyncIterable<Page> {
    const pageKeys = this.#options.pageKeys();
    const page = keysBuilder(Math.min(pageKeys, names.size));
    for (const name of names.keys()) {
      page.addKey(Buffer.from(name, 'latin1'));
      if (page.count >= pageKeys) yield await this.#again(page.take());
    }
    if (page.count > 0) yield await this.#again(page.take());
    if (everything !== undefined) {
      for await (const listed of this.#listed()) yield { ...listed, intent: 'again' };
    }
    if (!strays) return;
    const startedMs = performance.now();
    if (startedMs < this.#straysAtMs) {
      this.#leaveStrays();
      return;
    }
    try {
      for await (const stray of this.#options.strays()) yield { ...stray, intent: 'again' };
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      // A node may be away for a moment, for which changed keys don't wait.
      const nowMs = performance.now();
      this.#straysAtMs = nowMs + Math.max(patienceMs, patience * (nowMs - startedMs));
      this.#leaveStrays();
    }
  }

  #leaveStrays(): void {
    this.#hasLeftStrays = true;
    this.#options.changed.noteStrays();
  }

  async #again(page: Keys): Promise<Page> {
    return { ...(await this.#options.ownKeys(page)), intent: 'again' };
  }
}
