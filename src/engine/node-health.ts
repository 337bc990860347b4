/**
 * When keys that could not move go round again, and which nodes are left alone meanwhile.
 *
 * A node that refuses or does not answer is suspended: its keys stay at the source, where a later
 * pass finds them, while the run goes on with the other nodes. The few batches that were in flight
 * to it come back after a delay that grows, and are the probe: the first that gets through ends the
 * suspension. A node that has refused for longer than `retryForMs` is given up.
 *
 * Where no node can be used any more, or the nodes themselves say that the cluster is down, nothing is given
 * up key by key: the run stops.
 */
import { Gate } from '../async.js';
import { TargetError, withoutStop } from '../errors.js';
import { keyAt, slotAt } from '../redis/frames.js';
import type { Batch, FailureClass, HeldUp, KeyFailure, Keys, Outcome, Topology } from '../types.js';
import type { ServerStates } from './server-states.js';

const firstDelayMs = 50;
const longestDelayMs = 2000;

/** Refusals that say something of the node, not of the keys. */
export const nodeTroubles: ReadonlySet<FailureClass> = new Set(['unavailable', 'oom']);

export interface NodeHealth {
  isSuspended(address: string): boolean;
  /** What it was given up for; undefined: it was not. */
  givenUpFor(address: string): Pick<Trouble, 'why' | 'message'> | undefined;
  /**
   * A batch came back with keys to retry, and with this message.
   * @returns after how many ms they go round, or undefined: no more.
   * @throws TargetError when no node is left that could be used.
   */
  troubled(
    address: string,
    why: FailureClass,
    attempt: number,
    message: string,
  ): number | undefined;
  /** It answered for keys as it should. */
  succeeded(address: string): void;
  /** A new pass begins: the suspended are tried again, though their time goes on. */
  passBegins(): void;
}

export interface NodeHealthOptions {
  /** How long a node may refuse before it is given up. */
  readonly retryForMs: number;
  /** How often keys go round for reasons of their own. */
  readonly retryLimit: number;
  readonly states: Pick<ServerStates, 'went' | 'isBack' | 'gaveUp'>;
  /** The nodes that own slots now. */
  readonly owners: () => readonly string[];
}

interface Trouble {
  readonly sinceMs: number;
  readonly why: FailureClass;
  readonly message: string;
}

/** The name under which its state is told. */
const theCluster = 'The cluster';
/** What a node answers that is well itself: it sees no majority, or some slot has no owner. */
const clusterDown = /\bCLUSTERDOWN\b/;

export function nodeHealth(options: NodeHealthOptions): NodeHealth {
  const { retryForMs, retryLimit, states } = options;
  const troubles = new Map<string, Trouble>();
  const suspended = new Set<string>();
  const givenUp = new Set<string>();

  /** @returns since when, and in whose words. */
  function downSince(): { sinceMs: number; words: string } | undefined {
    const unusable = [...troubles.values()].filter(({ why }) => why === 'unavailable');
    const saidSo = unusable.find(({ message }) => clusterDown.test(message));
    const owners = options.owners();
    const isAnyWell = owners.some((address) => troubles.get(address)?.why !== 'unavailable');
    if (!saidSo && (isAnyWell || owners.length === 0)) return undefined;
    const sinceMs = Math.min(...unusable.map((trouble) => trouble.sinceMs));
    return { sinceMs, words: (saidSo ?? unusable[0])?.message ?? '' };
  }

  return {
    isSuspended: (address) => suspended.has(address),
    givenUpFor: (address) => (givenUp.has(address) ? troubles.get(address) : undefined),
    troubled(address, why, attempt, message) {
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(attempt, 10));
      if (!nodeTroubles.has(why)) {
        if (attempt >= retryLimit) return undefined;
        return attempt === 0 ? 0 : delayMs;
      }
      const sinceMs = troubles.get(address)?.sinceMs ?? Date.now();
      troubles.set(address, { sinceMs, why, message });
      const fields = { class: why };
      const isClusterDown = clusterDown.test(message);
      if (isClusterDown) {
        const sentence = 'The cluster is down: its keys wait at the source';
        states.went(theCluster, { why: message, sentence });
      }
      states.went(address, {
        why: message,
        sentence: isClusterDown ? undefined : `${address} refuses keys: left alone for now`,
        fields,
      });
      suspended.add(address);
      if (Date.now() - sinceMs < retryForMs) return delayMs;
      const down = why === 'unavailable' ? downSince() : undefined;
      if (down) throw clusterIsDown(down);
      givenUp.add(address);
      suspended.delete(address);
      states.gaveUp(address, {
        why: message,
        sentence: `giving up on ${address}: its keys remain at the source`,
        fields,
      });
      return undefined;
    },
    passBegins() {
      suspended.clear();
    },
    succeeded(address) {
      if (givenUp.has(address)) return;
      suspended.delete(address);
      if (!troubles.delete(address)) return;
      states.isBack(address);
      states.isBack(theCluster);
    },
  };
}

function clusterIsDown({ sinceMs, words }: { sinceMs: number; words: string }): TargetError {
  const seconds = Math.round((Date.now() - sinceMs) / 1000);
  return new TargetError(
    `The cluster has been down for ${String(seconds)} s (${words}): bring it up, then run the same command again.`,
  );
}

/** What a batch for a node that was given up ends with. */
export function refused(batch: Batch, { why, message }: Pick<Trouble, 'why' | 'message'>): Outcome {
  const failures = failuresOf(batch.keys, why, `${withoutStop(message)}; its node is given up`);
  const none = { moved: 0, gone: 0, repeated: 0, conflicting: 0, bytes: 0, retries: [] };
  return { ...none, failed: failures.length, failures };
}

export function failuresOf(keys: Keys, why: KeyFailure['class'], message: string): KeyFailure[] {
  return Array.from({ length: keys.count }, (_, place) => ({
    key: Buffer.from(keyAt(keys, place)),
    class: why,
    message,
  }));
}

/*
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
