/**
 * The run: pages of keys from the source, batches by node, a mover for each batch, the tally.
 *
 *   source ──pages──▶ batcher ──batches──▶ mover ──outcomes──▶ tally
 *                        ▲                            │
 *                        └────── keys to retry ◀──────┘
 *
 * Back-pressure is the one `await room`: while a node has as much in flight as it may, nothing more
 * of the source is read, so memory is the same for a thousand keys and for a billion.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { isDoneWithin } from '../async.js';
import { errorOf, StoppedError, withoutStop } from '../errors.js';
import type {
  Batch,
  Keys,
  Logger,
  Mover,
  Node,
  Page,
  Redirect,
  Retry,
  Source,
  Topology,
} from '../types.js';
import type { Limits } from '../limits/limits.js';
import { parted, slotAt } from '../redis/frames.js';
import { type Batcher, batcher, type BatcherOptions, regroup } from './batcher.js';
import {
  failuresOf,
  HeldUpKeys,
  type NodeHealth,
  nodeHealth,
  nodeTroubles,
  refused,
} from './node-health.js';
import { createHeldBack, createInFlight, type HeldBack, type InFlight } from './in-flight.js';
import { type ListingRecord, unmovedKeys } from './seen-keys.js';
import type { ServerStates } from './server-states.js';
import type { EngineTally } from './tally.js';

export interface PipelineOptions {
  readonly source: Source;
  readonly topology: Topology;
  readonly mover: Mover;
  readonly tally: EngineTally;
  readonly states: ServerStates;
  readonly record: ListingRecord;
  readonly movedEarlier?: ListingRecord | undefined;
  readonly copyWhenListed: BatcherOptions['copyWhenListed'];
  /** Once aborted nothing new is begun, and what is in flight ends. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly limits: Pick<Limits, 'batch' | 'perNode' | 'overall' | 'turn' | 'weigh'>;
  readonly batchBytes: number;
  readonly retryForMs: number;
  readonly checkpoint?: Checkpoint | undefined;
}

/** For whoever wants to go on later from where the source is now. */
export interface Checkpoint {
  isDue(): boolean;
  /** Whether every key that was listed so far is where it should be. */
  reached(isReached: boolean): void;
}

const retryLimit = 16;
/** Passes in a row in which keys were listed and none was moved: they come and go by themselves. */
const idlePassLimit = 3;
/** How long a checkpoint may hold the source up. */
const checkpointPatienceMs = 1000;

/** One run over a source, from its first page to its last: it is run once. */
export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #inFlight: InFlight;
  readonly #health: NodeHealth;
  /** Undefined: the source is not followed. */
  readonly #heldUp: HeldUpKeys | undefined;
  readonly #unmoved = unmovedKeys();
  readonly #sorter: Batcher;
  readonly #heldBack: HeldBack;
  #fatal: Error | undefined;
  #leftAny = false;

  constructor(options: PipelineOptions) {
    const { source, topology, tally, limits, signal } = options;
    this.#options = options;
    // Everything that waits for its next try listens, and that is no leak.
    setMaxListeners(0, signal);
    // Who follows a source has no end to report at: a node that is away is waited for.
    this.#health = nodeHealth({
      retryForMs: source.isFollowed ? Infinity : options.retryForMs,
      retryLimit: source.isFollowed ? Infinity : retryLimit,
      states: options.states,
      owners: () => ownersIn(topology),
    });
    const heldUp = source.isFollowed
      ? new HeldUpKeys({ topology, health: this.#health, states: options.states })
      : undefined;
    this.#heldUp = heldUp;
    this.#inFlight = createInFlight(limits, heldUp && ((address) => heldUp.isSick(address)));
    tally.onFailure((failure) => {
      this.#unmoved.add(failure.key);
    });
    this.#heldBack = createHeldBack({
      inFlight: this.#inFlight,
      dispatch: (batch) => this.#dispatch(batch),
      beforeRelease: () => this.#dispatchFresh(),
      isUnmoved: this.#unmoved.has,
      leave: (keys) => source.release?.(keys),
    });
    this.#sorter = batcher({
      topology,
      batchKeys: () => limits.batch(),
      batchBytes: options.batchBytes,
      record: options.record,
      movedEarlier: options.movedEarlier,
      copyWhenListed: options.copyWhenListed,
      isServed: (index) =>
        !source.isReplayable ||
        source.isFollowed === true ||
        !this.#health.isSuspended((topology.nodes[index] as Node).address),
      anyUnmoved: () => this.#unmoved.any,
      isUnmoved: this.#unmoved.has,
    });
  }

  /**
   * Runs to the end of the source, or until the signal.
   * @throws whatever the source or the mover can't go on after; nothing is in flight then.
   */
  async run(): Promise<void> {
    const { signal, tally, logger } = this.#options;
    for (let movedBefore = 0, idlePasses = 0; ;) {
      await this.#pass().catch((error: unknown) => {
        this.#endWith(error);
      });
      await this.#inFlight.idle();
      if (this.#fatal) throw this.#fatal;
      if (signal.aborted) return;
      const deferred = this.#sorter.takeDeferredCount();
      const handedOn = this.#sorter.takeHandedOnCount();
      const { moved, conflicting, failed } = tally.snapshot();
      const more = await this.#mayBeMore(handedOn);
      const counts = { moved, conflicting, failed, deferred, handedOn };
      logger.info(counts, 'a pass over the source ended');
      idlePasses = moved === movedBefore ? idlePasses + 1 : 0;
      movedBefore = moved;
      const isWorthIt = more && idlePasses < idlePassLimit && !this.#unmoved.isFull;
      if (deferred > 0 || isWorthIt) continue;
      if (more) logger.warn(counts, 'keys may be left that are not reported: start again for them');
      return;
    }
  }

  async #pass(): Promise<void> {
    const { source, signal, checkpoint } = this.#options;
    this.#health.passBegins();
    for await (const page of source.pages(this.#heldUp)) {
      if (this.#isDropping) break;
      await this.#offer(page);
      // Nobody waits for a page that would not be taken.
      if (this.#isStopping) break;
      if (checkpoint?.isDue() === true) await this.#check(checkpoint);
    }
    if (!this.#isDropping) await this.#dispatchRest();
    await this.#inFlight.idle();
    if (signal.aborted && !source.isReplayable) checkpoint?.reached(this.#haveAllArrived);
  }

  /** Settles when what can be dispatched of the page is on its way. */
  async #offer(page: Page): Promise<void> {
    if (page.intent === 'rest') {
      await this.#dispatchRest();
      await this.#inFlight.idle();
    }
    if (page.intent === 'lull') {
      for (const keys of (await this.#heldUp?.lull()) ?? []) this.#giveBack(keys);
    }
    if (page.intent === 'again') {
      const some = this.#heldUp?.any === true ? this.#withoutHeldUp(page, this.#heldUp) : page;
      for (const batch of [...this.#sorter.add(some), ...this.#sorter.flush()]) {
        await this.#copyAgain(batch);
      }
      return;
    }
    for (const batch of this.#sorter.add(page)) await this.#send(batch);
    if (page.intent === 'urgent') await this.#dispatchRest();
  }

  /** Nothing new is begun. */
  get #isStopping(): boolean {
    return this.#options.signal.aborted || this.#fatal !== undefined;
  }

  /** What can't be listed anew is still dealt with once it was read: a later run goes on behind it. */
  get #isDropping(): boolean {
    const { signal, source } = this.#options;
    return this.#fatal !== undefined || (signal.aborted && source.isReplayable);
  }

  /** Gives back what is held up. */
  #withoutHeldUp(page: Page, heldUp: HeldUpKeys): Page {
    const [held, free] = parted(page, (place) => heldUp.has(slotAt(page, place)));
    if (held.count > 0) this.#giveBack(held);
    return { ...free, intent: page.intent };
  }

  /** A node that gets sick keeps no others waiting: its keys are given back. */
  async #copyAgain(batch: Batch): Promise<void> {
    const { address } = batch.node;
    const hasRoom = (): boolean => this.#inFlight.hasRoom(address);
    if ((await this.#heldUp?.room(address, hasRoom)) === false) this.#giveBack(batch.keys);
    else await this.#dispatch(batch);
  }

  #giveBack(keys: Keys): void {
    this.#options.source.giveBack?.(keys);
  }

  /** Keys that were listed before wait until their earlier listings have come to rest. */
  async #send(batch: Batch): Promise<void> {
    await (batch.listedBefore ? this.#heldBack.add(batch) : this.#dispatch(batch));
  }

  async #dispatchFresh(): Promise<void> {
    for (const batch of this.#sorter.flushFresh()) await this.#dispatch(batch);
  }

  async #dispatchRest(): Promise<void> {
    for (const batch of this.#sorter.flush()) await this.#send(batch);
    await this.#heldBack.release();
  }

  /**
   * Settles when the batch is on its way; its life ends with the last try of the last of its keys.
   * @param mustEnd keys that go round do so also when the run stops.
   */
  async #dispatch(batch: Batch, mustEnd = false): Promise<{ readonly life: Promise<void> }> {
    const { source, limits } = this.#options;
    const isFirst = batch.attempt === 0;
    const isDropped = (): boolean => (isFirst ? this.#isDropping : this.#isStopping && !mustEnd);
    // Keys of one pass bring their values along: a node that is away must not fill memory with them.
    if (!source.isReplayable && isFirst) await this.#inFlight.calm();
    await this.#inFlight.room(batch.node.address);
    if (!isDropped()) {
      await limits.turn(batch.keys.count);
      // Others may wait for what it weighs.
      if (isDropped()) limits.weigh(batch.keys.count, 0);
    }
    if (isDropped()) {
      if (isFirst) source.release?.(batch.keys);
      else this.#leaveBehind(batch);
      return { life: Promise.resolve() };
    }
    const work = this.#carry(batch);
    const life = work.then(async (rounds) => {
      await Promise.all(rounds);
    });
    this.#inFlight.add(batch.node.address, weightOf(batch.keys), work, life);
    this.#heldUp?.began(batch, work, life);
    return { life };
  }

  /** @returns what goes on with keys that go round again. */
  async #carry(batch: Batch): Promise<readonly Promise<void>[]> {
    const { source, mover, tally, limits } = this.#options;
    tally.started(batch);
    const { address } = batch.node;
    const startedMs = performance.now();
    const rounds: Promise<void>[] = [];
    let valueBytes = 0;
    try {
      const trouble = this.#health.givenUpFor(address);
      if (trouble) {
        source.release?.(batch.keys);
        this.#noteCopies(batch);
      }
      const outcome = trouble ? refused(batch, trouble) : await mover.move(batch);
      valueBytes = outcome.bytes;
      tally.ended(batch, mover.name, outcome, performance.now() - startedMs);
      if (!outcome.retries.some((retry) => nodeTroubles.has(retry.class))) {
        this.#health.succeeded(address);
      }
      for (const retry of outcome.retries) {
        const round = this.#goRound(retry, batch);
        if (round) rounds.push(round);
      }
    } catch (error) {
      // Nobody waited for the source any more: these keys are as they were.
      if (error instanceof StoppedError) this.#leaveBehind(batch);
      else {
        source.release?.(batch.keys);
        // How far it came nobody says.
        tally.mayBeOnBothSides(batch.keys.count);
      }
      this.#endWith(error);
    } finally {
      limits.weigh(batch.keys.count, valueBytes);
    }
    return rounds;
  }

  #goRound(retry: Retry, batch: Batch): Promise<void> | undefined {
    const left = leftOf(retry, batch);
    if (this.#isStopping && !this.#mustBeEnded(retry)) {
      this.#leaveBehind(left);
      return undefined;
    }
    const { address } = batch.node;
    let delayMs: number | undefined;
    try {
      delayMs = this.#health.troubled(address, retry.class, batch.attempt, retry.message);
    } catch (error) {
      this.#endWith(error);
      this.#leaveBehind(left);
      return undefined;
    }
    if (delayMs === undefined) {
      this.#giveUp(retry, batch);
      return undefined;
    }
    const round = this.#again(retry, batch, delayMs).catch((error: unknown) => {
      this.#options.source.release?.(retry.keys);
      this.#endWith(error);
    });
    // The first round lasts until the last one ends, with the same keys.
    if (batch.attempt === 0) this.#inFlight.keep(weightOf(retry.keys), round);
    return round;
  }

  async #again(retry: Retry, batch: Batch, delayMs: number): Promise<void> {
    const { topology, signal } = this.#options;
    if (delayMs > 0) await delay(delayMs, undefined, { signal }).catch(() => undefined);
    const mustEnd = this.#mustBeEnded(retry);
    const next = {
      listedBefore: batch.listedBefore,
      copy: leftOf(retry, batch).copy,
      attempt: retry.refusal === undefined ? batch.attempt + 1 : Math.max(1, batch.attempt),
      changes: batch.changes + (retry.class === 'changing' ? 1 : 0),
    };
    const { redirect, keys } = retry;
    if (redirect?.kind === 'ask') {
      const node = this.#nodeNamed(redirect, batch.node);
      const { life } = await this.#dispatch({ ...next, node, keys, asking: true }, mustEnd);
      this.#heldUp?.wentOn(batch);
      await life;
      return;
    }
    if (retry.class !== 'changing' && !this.#isStopping) {
      // When nobody answers, the nodes are tried all the same: their own answers decide.
      await topology.refresh().catch(() => undefined);
    }
    const lives: Promise<void>[] = [];
    for (const [index, some] of regroup(keys, topology)) {
      const owner = topology.nodes[index] as Node;
      // Nodes may disagree for good. The one that was taken for the owner knows better than the one that says so.
      const isDenied = redirect !== undefined && owner.address === batch.node.address;
      const node = isDenied ? this.#nodeNamed(redirect, owner) : owner;
      const again = { ...next, node, keys: some, asking: false };
      lives.push((await this.#dispatch(again, mustEnd)).life);
    }
    this.#heldUp?.wentOn(batch);
    await Promise.all(lives);
  }

  /** Clusters that don't announce hosts leave the name out: it is the host that answered. */
  #nodeNamed({ address }: Redirect, by: Node): Node {
    return this.#options.topology.nodeAt(address.replace(/^\??:/, `${hostOf(by)}:`));
  }

  /**
   * What was stored, and is at the source still because somebody wrote there, is brought to its end even
   * when the run stops: the next one would not know what of the copy is a client's of the cluster.
   */
  #mustBeEnded({ copy, class: why }: Retry): boolean {
    return this.#fatal === undefined && copy?.state === 'stored' && why === 'changing';
  }

  #giveUp(retry: Retry, batch: Batch): void {
    this.#options.source.release?.(retry.keys);
    const isRedirected = retry.class === 'redirected';
    const hint = isRedirected ? ': `cluster-import check` tells whether the nodes agree' : '';
    const message = `${withoutStop(retry.message)}; given up after ${String(batch.attempt + 1)} tries${hint}`;
    const failures = failuresOf(retry.keys, retry.class, message);
    this.#options.tally.givenUp(retry, failures, batch.node.address);
    this.#noteCopies(leftOf(retry, batch));
  }

  #leaveBehind(left: Left): void {
    const { keys } = left;
    this.#leftAny = true;
    this.#options.tally.leftBehind(keys.count);
    this.#noteCopies(left);
    this.#options.source.release?.(keys);
  }

  #noteCopies({ keys, copy }: Left): void {
    if (copy.state !== 'unknown') this.#options.tally.mayBeOnBothSides(keys.count);
  }

  #endWith(error: unknown): void {
    this.#fatal ??= errorOf(error);
  }

  async #check(checkpoint: Checkpoint): Promise<void> {
    if (!this.#sorter.hasDeferred) await this.#dispatchRest();
    const isIdle = await isDoneWithin(checkpointPatienceMs, this.#inFlight.idle());
    checkpoint.reached(isIdle && !this.#isStopping && this.#haveAllArrived);
  }

  get #haveAllArrived(): boolean {
    const { conflicting, failed } = this.#options.tally.snapshot();
    const hasStayed = this.#leftAny || this.#fatal !== undefined || this.#sorter.hasDeferred;
    return !hasStayed && conflicting + failed === 0;
  }

  /** Whether another pass may find keys that were added behind the scan's position. */
  async #mayBeMore(handedOn: number): Promise<boolean> {
    const { source, tally } = this.#options;
    if (!source.remaining || handedOn === 0) return false;
    const { conflicting, failed } = tally.snapshot();
    // Keys that stay may be deleted by clients, and others take their place in the count.
    return conflicting + failed > 0 || (await source.remaining()) > 0;
  }
}

/** Keys that stay, and what is known of their copies. */
type Left = Pick<Batch, 'keys' | 'copy'>;

function leftOf({ keys, copy }: Retry, batch: Batch): Left {
  return { keys, copy: copy ?? batch.copy };
}

/** In keys: values that were brought along count as one for each kilobyte, if that is more. */
function weightOf({ count, values }: Keys): number {
  if (!values) return count;
  return Math.max(count, Math.ceil((values.starts[values.count] as number) / 1024));
}

/** The addresses of the nodes that own slots. */
function ownersIn({ nodes, owners }: Topology): readonly string[] {
  return [...new Set(owners)].map((index) => (nodes[index] as Node).address);
}

function hostOf({ address }: Node): string {
  return address.slice(0, address.lastIndexOf(':'));
}
