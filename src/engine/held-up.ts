/**
 * What a node that is sick holds up while a source is followed: its own keys, and no others.
 *
 * A changed key may be copied only when no batch that has it is under way: an older value, read before the change,
 * would land on the newer one. So a round of changed keys begins when everything is at rest (followed-source.ts). A
 * node that is away, or that hangs, is waited for without end, and what goes there never comes to rest meanwhile. It
 * is set aside then:
 *
 * - At a lull each batch that is under way has ended, or it is set aside, and the slots of its keys are noted. Keys of
 *   these slots are not copied again before a later lull at which nothing of theirs is under way any more. So of the
 *   keys that are copied in a round, none is under way when it begins, whichever node a batch went to, and wherever
 *   their slot has moved since: it is the slot of a key that counts, which never changes.
 * - A batch is under way until the last try of the last of its keys has ended. What is tried again has the same keys, so
 *   the slots of the first try stand for all of them.
 * - Keys that were set aside are given back, and count among those that wait. They are copied once more when their
 *   batch has ended, which may be one time too many, and never one too few.
 *
 * What is set aside is a matter of patience alone: rightness does not rest on it. While no node is sick, nothing is,
 * however long it takes. While one is, that is what is tried there, and what goes round again: it may have been sent
 * elsewhere, and to learn where to may take long then. What another node does for the first time is waited for. A sick
 * node gets no more keys, so what is set aside is no more than what was under way when it got sick. Tries that go on
 * with it tell when it is well.
 */
import { Gate } from '../async.js';
import { slotAt } from '../redis/keys.js';
import type { Batch, HeldUp, Keys, Topology } from '../types.js';
import type { NodeHealth } from './node-health.js';
import type { ServerStates } from './server-states.js';

export interface HeldUpOptions {
  readonly topology: Pick<Topology, 'nodes' | 'owners'>;
  readonly health: Pick<NodeHealth, 'isSuspended'>;
  readonly states: Pick<ServerStates, 'silentMs'>;
}

/** A node that owes an answer for so long is sick, at first. */
const silentAfterMs = 1000;
/** How long what goes round has to come to rest while a node is sick. */
const patienceMs = 100;
/** A node that falls silent calls nobody. */
const lookEveryMs = 50;

/** A batch that is set aside. */
interface Aside {
  /** Of its keys. */
  readonly slots: ReadonlySet<number>;
  /** How long its node was silent, if that is why; undefined: it is not. */
  readonly silentMs: number | undefined;
}

export class HeldUpKeys implements HeldUp {
  readonly #options: HeldUpOptions;
  /** Batches that are under way, and not set aside. */
  readonly #fresh = new Set<Batch>();
  /** Those of which keys go round again. */
  readonly #goingRound = new Set<Batch>();
  readonly #aside = new Map<Batch, Aside>();
  /** By the address of the node at which they are tried, or were tried last, since when: the oldest first. */
  readonly #tries = new Map<string, Map<Batch, number>>();
  /** By address: how long a node may be silent, where it has shown that it is only slow. */
  readonly #mayBeSilentMs = new Map<string, number>();
  /** Those of the batches that were set aside by the last lull. */
  #slots: ReadonlySet<number> = new Set();
  readonly #gate = new Gate();

  constructor(options: HeldUpOptions) {
    this.#options = options;
  }

  get any(): boolean {
    return this.#fresh.size + this.#aside.size > 0;
  }

  has(slot: number): boolean {
    const { nodes, owners } = this.#options.topology;
    const owner = nodes[owners[slot] as number];
    return this.#slots.has(slot) || (owner !== undefined && this.isSick(owner.address));
  }

  /** Whether it is away, or hangs. One at which nothing is tried may be well again: whoever tries finds out. */
  isSick(address: string): boolean {
    const { health, states } = this.#options;
    const sinceMs = this.#tries.get(address)?.values().next().value;
    if (sinceMs === undefined) return false;
    if (health.isSuspended(address)) return true;
    // How long a node is silent is measured now and then: until a moment ago it may have owed nothing.
    const mostMs = this.#mayBeSilent(address);
    return performance.now() - sinceMs >= mostMs && states.silentMs(address) >= mostMs;
  }

  /** @param work one try. @param life lasts until nothing is left to be done for these keys. */
  began(batch: Batch, work: Promise<unknown>, life: Promise<unknown>): void {
    if (batch.attempt === 0) this.#fresh.add(batch);
    const { address } = batch.node;
    const there = this.#tries.get(address) ?? new Map<Batch, number>();
    this.#tries.set(address, there.set(batch, performance.now()));
    const tried = (): void => {
      if (this.#fresh.has(batch)) this.#goingRound.add(batch);
      this.#gate.check();
    };
    const ended = (): void => {
      this.#learn(batch);
      this.wentOn(batch);
      this.#fresh.delete(batch);
      this.#goingRound.delete(batch);
      this.#aside.delete(batch);
      this.#gate.check();
    };
    work.then(tried, tried);
    life.then(ended, ended);
  }

  /** Its keys are tried again, maybe at another node, as batches of their own. */
  wentOn(batch: Batch): void {
    this.#tries.get(batch.node.address)?.delete(batch);
  }

  /** Waits for room at a node. @returns false: it is sick. */
  async room(address: string, hasRoom: () => boolean): Promise<boolean> {
    let isSick = false;
    await this.#until(() => (isSick = this.isSick(address)) || hasRoom());
    return !isSick;
  }

  /**
   * Waits until everything has come to rest, but for what is held up: that is set aside.
   * @returns the keys that are set aside from now on.
   */
  async lull(): Promise<Keys[]> {
    const patientUntilMs = performance.now() + patienceMs;
    await this.#until(
      () => this.#fresh.size === 0 || (performance.now() >= patientUntilMs && this.#areAllHeldUp),
    );
    const newly = [...this.#fresh];
    this.#fresh.clear();
    this.#goingRound.clear();
    for (const batch of newly) {
      const { address } = batch.node;
      const isSilent = this.isSick(address) && !this.#options.health.isSuspended(address);
      const silentMs = isSilent ? this.#mayBeSilent(address) : undefined;
      this.#aside.set(batch, { slots: slotsOf(batch.keys), silentMs });
    }
    this.#slots = new Set([...this.#aside.values()].flatMap(({ slots }) => [...slots]));
    return newly.map(({ keys }) => keys);
  }

  #mayBeSilent(address: string): number {
    return this.#mayBeSilentMs.get(address) ?? silentAfterMs;
  }

  /** A node that has answered after all was only slow: if nobody waited for it, no round would ever be whole. */
  #learn(batch: Batch): void {
    const { address } = batch.node;
    const { silentMs } = this.#aside.get(batch) ?? {};
    const hasAnswered = this.#tries.get(address)?.has(batch) === true;
    if (silentMs === undefined || !hasAnswered) return;
    this.#mayBeSilentMs.set(address, Math.max(this.#mayBeSilent(address), 2 * silentMs));
  }

  /** Whether nothing is under way any more but at nodes that are sick, and what goes round while one is. */
  get #areAllHeldUp(): boolean {
    const sick = new Set([...this.#tries.keys()].filter((address) => this.isSick(address)));
    if (sick.size === 0) return false;
    return [...this.#fresh].every(
      (batch) => sick.has(batch.node.address) || this.#goingRound.has(batch),
    );
  }

  async #until(holds: () => boolean): Promise<void> {
    if (holds()) return;
    const timer = setInterval(() => {
      this.#gate.check();
    }, lookEveryMs);
    try {
      await this.#gate.until(holds);
    } finally {
      clearInterval(timer);
    }
  }
}

function slotsOf(keys: Keys): ReadonlySet<number> {
  return new Set(Array.from({ length: keys.count }, (_, place) => slotAt(keys, place)));
}
