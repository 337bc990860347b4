/**
 * Somebody who writes to keys of their own, first at the source and then in the cluster, and keeps book of what
 * each must hold. An answer tells what a write has left. Where none came, the key is read before it is written
 * again: the write was carried out or it was not, and all of it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { everyMs } from '../chaos/servers.js';
import { isState, mayHaveExpired, type Span, type State } from '../chaos/state.js';
import { stateText } from '../chaos/verdict.js';
import { createTerritory, type Dialect } from '../chaos/writes.js';
import type { Random } from '../support/random.js';
import { waitFor } from '../support/wait.js';
import { type Deed, nextDeed, nextPlainDeed, of, type States } from './deeds.js';
import type { Outcome, Side } from './sides.js';

export type Book = Map<string, State | undefined>;

export interface WriterOptions {
  readonly name: string;
  /** Where it writes first, and after the cutover. */
  readonly source: Side;
  readonly cluster: Side;
  /** Puts all of its keys into one slot. */
  readonly hashTag?: boolean;
  /** A deed may touch several keys; true unless given. */
  readonly severalKeys?: boolean;
  /** It may run scripts that name no key; true unless given. */
  readonly scripts?: boolean;
  /** Goes over to the cluster when the source refuses a write. */
  readonly heedsRefusals: boolean;
  /** What the source knows. */
  readonly dialect?: Dialect;
}

const fillAtOnce = 100;
/** What a writer does between two commands. */
const longestThoughtMs = 8;
const mostEvents = 12;

export class Writer {
  readonly counts = { acknowledged: 0, inCluster: 0, doubtful: 0, refused: 0 };
  /** What no answer explains: an acknowledged write was undone. */
  readonly contradictions: string[] = [];
  readonly #territory;
  readonly #events = new Map<string, string[]>();
  #book: Book = new Map();
  /** Of the source's other database. */
  #otherBook: Book = new Map();
  readonly #source: Side;
  readonly #cluster: Side;
  #isInCluster = false;
  #isHeld = false;
  #runsScripts: boolean;
  #isStopping = false;
  #isBusy = false;
  #running: Promise<void> | undefined;

  constructor(
    readonly random: Random,
    readonly options: WriterOptions,
  ) {
    const { name, hashTag = false, scripts = true } = options;
    this.#territory = createTerritory(hashTag ? `{${name}}` : name, options);
    this.#source = options.source;
    this.#cluster = options.cluster;
    this.#runsScripts = scripts;
  }

  get name(): string {
    return this.options.name;
  }

  get book(): ReadonlyMap<string, State | undefined> {
    return this.#book;
  }

  get isInCluster(): boolean {
    return this.#isInCluster;
  }

  /** What was done to the key at last, so that a complaint explains itself. */
  eventsOf(key: string): readonly string[] {
    return this.#events.get(key) ?? [];
  }

  /** Makes some keys, as fast as they can be made. */
  async fill(count: number): Promise<void> {
    for (let made = 0; made < count; made += fillAtOnce) {
      const some = Array.from({ length: Math.min(fillAtOnce, count - made) }, () =>
        this.#territory.found(this.random),
      );
      if (this.#mayTouchSeveral) await this.#perform(of('transaction', some));
      else await Promise.all(some.map((one) => this.#perform(of('plain', [one]))));
    }
  }

  start(): void {
    this.#running = this.#work();
    // Whoever waits for it learns of it.
    this.#running.catch(() => undefined);
  }

  /** Ends after the write under way. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#isHeld = false;
    await this.#running;
    this.#source.close();
    this.#cluster.close();
  }

  /** Resolves when nothing is under way. */
  async hold(): Promise<void> {
    this.#isHeld = true;
    await waitFor(`writer ${this.name} to stand still`, () => !this.#isBusy);
  }

  goOn(): void {
    this.#isHeld = false;
  }

  /** All keys were deleted. */
  forget(): void {
    for (const key of this.#book.keys()) {
      this.#book.set(key, undefined);
      this.#note(key, 'the database was emptied');
    }
  }

  /** The source's other database has these. */
  hasElsewhere(key: string, state: State): void {
    this.#otherBook.set(key, state);
  }

  /** The two databases have changed places. */
  swap(): void {
    const all = new Set([...this.#book.keys(), ...this.#otherBook.keys()]);
    [this.#book, this.#otherBook] = [this.#otherBook, this.#book];
    for (const key of all) this.#note(key, 'the databases were swapped');
  }

  /** Runs no more scripts. */
  async endScripts(): Promise<void> {
    this.#runsScripts = false;
    await this.hold();
    this.goOn();
  }

  /** From now on it writes to the cluster, whatever the source has been asked to do. */
  switchOver(): void {
    if (this.#isInCluster) return;
    this.#isInCluster = true;
    this.#source.close();
  }

  get #mayTouchSeveral(): boolean {
    return this.options.severalKeys ?? true;
  }

  get #side(): Side {
    return this.#isInCluster ? this.#cluster : this.#source;
  }

  async #work(): Promise<void> {
    try {
      while (!this.#isStopping) {
        this.#isBusy = !this.#isHeld;
        if (this.#isBusy) {
          const next = this.#isInCluster || !this.#mayTouchSeveral ? nextPlainDeed : nextDeed;
          const deed = next(this.random, this.#territory);
          if (deed.way !== 'script' || this.#runsScripts) await this.#perform(deed);
          this.#isBusy = false;
        }
        await sleep(this.random.int(longestThoughtMs));
      }
    } finally {
      this.#isBusy = false;
    }
  }

  async #perform(deed: Deed): Promise<void> {
    const side = this.#side;
    const sentMs = Date.now();
    const outcome = await side.carryOut(deed);
    const span = { sentMs, heardMs: Date.now() };
    const words = deed.commands.map((command) => command.join(' ')).join('; ');
    for (const key of deed.keys) this.#note(key, `${side.name}, ${deed.way} ${words}: ${outcome}`);
    if (outcome === 'refused') {
      this.counts.refused++;
      if (this.options.heedsRefusals) this.switchOver();
      else await sleep(everyMs);
    }
    if (outcome !== 'done' && outcome !== 'unanswered') return;
    this.#count(outcome, side);
    const possible = this.#possible(deed, span, outcome);
    const [only] = possible;
    if (possible.length === 1 && only) this.#enter(only);
    else await this.#find(deed.keys, possible);
  }

  #count(outcome: Outcome, side: Side): void {
    if (outcome === 'unanswered') this.counts.doubtful++;
    else this.counts.acknowledged++;
    if (outcome === 'done' && side === this.#cluster) this.counts.inCluster++;
  }

  /** All that the deed's keys may hold now. */
  #possible(deed: Deed, span: Span, outcome: Outcome): readonly States[] {
    // A key whose time had come was there or not.
    const before = deed.keys.reduce<readonly States[]>(
      (all, key) => {
        const state = this.#book.get(key);
        const over = state !== undefined && mayHaveExpired(state, span.heardMs);
        return all.flatMap((states) => [
          new Map([...states, [key, state]]),
          ...(over ? [new Map([...states, [key, undefined]])] : []),
        ]);
      },
      [new Map()],
    );
    const after = before.map((states) => deed.leaves(states, span));
    return outcome === 'unanswered' ? [...before, ...after] : after;
  }

  /** Reads which of these it is. */
  async #find(keys: readonly string[], possible: readonly States[]): Promise<void> {
    for (;;) {
      const { name } = this.#side;
      const found = await this.#read(keys);
      if (!found) continue;
      const nowMs = Date.now();
      const fits = possible.find((states) =>
        keys.every((key) => isFound(found.get(key), states.get(key), nowMs)),
      );
      for (const key of keys) this.#note(key, `${name} has ${stateText(found.get(key))}`);
      if (!fits) {
        const wanted = possible.map((states) => keys.map((key) => stateText(states.get(key))));
        this.contradictions.push(
          `${name} has ${keys.map((key) => `${key}: ${stateText(found.get(key))}`).join(', ')} instead of one of ${JSON.stringify(wanted)}${this.#story(keys)}`,
        );
      }
      this.#enter(fits ?? found, found);
      return;
    }
  }

  async #read(keys: readonly string[]): Promise<States | undefined> {
    const states = new Map<string, State | undefined>();
    const side = this.#side;
    for (const key of keys) {
      const read = await side.read(key);
      if (!read || side !== this.#side) return undefined;
      states.set(key, read.state);
    }
    return states;
  }

  /** @param found what was read: a key that has expired meanwhile is absent for good. */
  #enter(states: States, found: States = states): void {
    for (const [key, state] of states) {
      this.#book.set(key, found.has(key) && !found.get(key) ? undefined : state);
    }
  }

  #note(key: string, event: string): void {
    const events = this.#events.get(key) ?? [];
    this.#events.set(key, events);
    const short = event.length > 400 ? `${event.slice(0, 300)}…${event.slice(-90)}` : event;
    events.push(`${new Date().toISOString().slice(17)} ${short}`);
    if (events.length > mostEvents) events.shift();
  }

  #story(keys: readonly string[]): string {
    return keys.flatMap((key) => this.eventsOf(key).map((event) => `\n      ${event}`)).join('');
  }
}

/** Whether a key that should be in this state was found so; undefined: it is absent. */
export function isFound(
  found: State | undefined,
  wanted: State | undefined,
  nowMs: number,
): boolean {
  if (!wanted) return found === undefined;
  return found ? isState(found, wanted) : mayHaveExpired(wanted, nowMs);
}
