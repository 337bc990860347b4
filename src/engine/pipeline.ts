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
import { errorOf, StoppedError } from '../errors.js';
import type { Batch, Keys, Logger, Mover, Node, Retry, Source, Topology } from '../types.js';
import type { Limits } from '../limits/limits.js';
import { batcher, type BatcherOptions, regroup } from './batcher.js';
import { createHeldBack, createInFlight } from './in-flight.js';
import { failuresOf, nodeHealth, nodeTroubles, refused } from './node-health.js';
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

/**
 * Runs to the end of the source, or until the signal.
 * @throws whatever the source or the mover can't go on after; nothing is in flight then.
 */
export async function runPipeline(options: PipelineOptions): Promise<void> {
  const { source, topology, mover, tally, limits, signal, logger } = options;
  // Everything that waits for its next try listens, and that is no leak.
  setMaxListeners(0, signal);
  const inFlight = createInFlight(limits);
  // Who follows a source has no end to report at: a node that is away is waited for.
  const health = nodeHealth({
    retryForMs: source.isFollowed ? Infinity : options.retryForMs,
    retryLimit: source.isFollowed ? Infinity : retryLimit,
    states: options.states,
    owners: () => ownersIn(topology),
  });
  const unmoved = unmovedKeys();
  tally.onFailure((failure) => {
    unmoved.add(failure.key);
  });
  let fatal: Error | undefined;
  const stopping = (): boolean => signal.aborted || fatal !== undefined;
  /** What can't be listed anew is still dealt with once it was read: a later run goes on behind it. */
  const dropping = (): boolean => fatal !== undefined || (signal.aborted && source.isReplayable);
  let leftAny = false;
  const heldBack = createHeldBack({ inFlight, dispatch, beforeRelease: dispatchFresh });

  const sorter = batcher({
    topology,
    batchKeys: () => limits.batch(),
    batchBytes: options.batchBytes,
    record: options.record,
    movedEarlier: options.movedEarlier,
    copyWhenListed: options.copyWhenListed,
    isServed: (index) =>
      !source.isReplayable ||
      source.isFollowed === true ||
      !health.isSuspended((topology.nodes[index] as Node).address),
    anyUnmoved: () => unmoved.any,
    isUnmoved: unmoved.has,
  });

  /** Settles when the batch is on its way; its life ends with the last try of the last of its keys. */
  async function dispatch(batch: Batch): Promise<{ readonly life: Promise<void> }> {
    // Keys of one pass bring their values along: a node that is away must not fill memory with them.
    if (!source.isReplayable && batch.attempt === 0) await inFlight.calm();
    await inFlight.room(batch.node.address);
    await limits.turn(batch.keys.count);
    if (dropping() && batch.attempt === 0) {
      // Others may wait for what it weighs.
      limits.weigh(batch.keys.count, 0);
      source.release?.(batch.keys);
      return { life: Promise.resolve() };
    }
    const work = carry(batch);
    const life = work.then(async (rounds) => {
      await Promise.all(rounds);
    });
    inFlight.add(batch.node.address, weightOf(batch.keys), work, life);
    return { life };
  }

  /** @returns what goes on with keys that go round again. */
  async function carry(batch: Batch): Promise<readonly Promise<void>[]> {
    tally.started(batch);
    const { address } = batch.node;
    const startedMs = performance.now();
    const rounds: Promise<void>[] = [];
    let valueBytes = 0;
    try {
      const isGivenUp = health.isGivenUp(address);
      if (isGivenUp) source.release?.(batch.keys);
      const outcome = isGivenUp ? refused(batch) : await mover.move(batch);
      valueBytes = outcome.bytes;
      tally.ended(batch, mover.name, outcome, performance.now() - startedMs);
      if (!outcome.retries.some((retry) => nodeTroubles.has(retry.class)))
        health.succeeded(address);
      for (const retry of outcome.retries) {
        const round = goRound(retry, batch);
        if (round) rounds.push(round);
      }
    } catch (error) {
      // Nobody waited for the source any more: these keys are as they were.
      if (error instanceof StoppedError) leaveBehind(batch.keys);
      else source.release?.(batch.keys);
      endWith(error);
    } finally {
      limits.weigh(batch.keys.count, valueBytes);
    }
    return rounds;
  }

  function leaveBehind(keys: Keys): void {
    leftAny = true;
    tally.leftBehind(keys.count);
    source.release?.(keys);
  }

  function endWith(error: unknown): void {
    fatal ??= errorOf(error);
  }

  function goRound(retry: Retry, batch: Batch): Promise<void> | undefined {
    if (stopping() && !mustBeEnded(retry)) {
      leaveBehind(retry.keys);
      return undefined;
    }
    let delayMs: number | undefined;
    try {
      delayMs = health.troubled(batch.node.address, retry.class, batch.attempt, retry.message);
    } catch (error) {
      endWith(error);
      leaveBehind(retry.keys);
      return undefined;
    }
    if (delayMs === undefined) {
      giveUp(retry, batch);
      return undefined;
    }
    const round = again(retry, batch, delayMs).catch((error: unknown) => {
      source.release?.(retry.keys);
      endWith(error);
    });
    // The first round lasts until the last one ends, with the same keys.
    if (batch.attempt === 0) inFlight.keep(weightOf(retry.keys), round);
    return round;
  }

  async function again(retry: Retry, batch: Batch, delayMs: number): Promise<void> {
    if (delayMs > 0) await delay(delayMs, undefined, { signal }).catch(() => undefined);
    const { listedBefore } = batch;
    const copy = retry.copy ?? batch.copy;
    const attempt = retry.refusal === undefined ? batch.attempt + 1 : Math.max(1, batch.attempt);
    const changes = batch.changes + (retry.class === 'changing' ? 1 : 0);
    // Clusters that don't announce hosts leave the name out: it is the host that answered.
    const askAt = retry.askAt?.replace(/^\??:/, `${hostOf(batch.node)}:`);
    if (askAt !== undefined) {
      const asked = topology.nodeAt(askAt);
      const { life } = await dispatch({
        node: asked,
        keys: retry.keys,
        listedBefore,
        copy,
        attempt,
        changes,
        asking: true,
      });
      await life;
      return;
    }
    if (retry.class !== 'changing') {
      // When nobody answers, the nodes are tried all the same: their own answers decide.
      await topology.refresh().catch(() => undefined);
    }
    const lives: Promise<void>[] = [];
    for (const [index, keys] of regroup(retry.keys, topology)) {
      const node = topology.nodes[index] as Node;
      const next = { node, keys, listedBefore, copy, attempt, changes, asking: false };
      lives.push((await dispatch(next)).life);
    }
    await Promise.all(lives);
  }

  /**
   * What was stored, and is at the source still because somebody wrote there, is brought to its end even
   * when the run stops: the next one would not know what of the copy is a client's of the cluster.
   */
  function mustBeEnded({ copy, class: why }: Retry): boolean {
    return fatal === undefined && copy?.state === 'stored' && why === 'changing';
  }

  function giveUp(retry: Retry, batch: Batch): void {
    source.release?.(retry.keys);
    const message = `${retry.message}; given up after ${String(batch.attempt + 1)} tries`;
    const failures = failuresOf(retry.keys, retry.class, message);
    tally.givenUp(retry, failures, batch.node.address);
  }

  async function pass(): Promise<void> {
    health.passBegins();
    for await (const page of source.pages()) {
      if (dropping()) break;
      if (page.afterRest === true) {
        await dispatchRest();
        await inFlight.idle();
      }
      if (page.isAgain === true) {
        for (const batch of [...sorter.add(page), ...sorter.flush()]) await dispatch(batch);
      } else {
        for (const batch of sorter.add(page)) {
          await (batch.listedBefore ? heldBack.add(batch) : dispatch(batch));
        }
      }
      if (page.isUrgent === true) await dispatchRest();
      // Nobody waits for a page that would not be taken.
      if (stopping()) break;
      if (options.checkpoint?.isDue() === true) await check(options.checkpoint);
    }
    if (!dropping()) await dispatchRest();
    await inFlight.idle();
    if (signal.aborted && !source.isReplayable) options.checkpoint?.reached(allArrived());
  }

  async function dispatchFresh(): Promise<void> {
    for (const batch of sorter.flushFresh()) await dispatch(batch);
  }

  async function dispatchRest(): Promise<void> {
    for (const batch of sorter.flush()) {
      await (batch.listedBefore ? heldBack.add(batch) : dispatch(batch));
    }
    await heldBack.release();
  }

  async function check(checkpoint: Checkpoint): Promise<void> {
    if (!sorter.hasDeferred) await dispatchRest();
    const enough = new AbortController();
    const late = delay(checkpointPatienceMs, false, enough).catch(() => false);
    const isIdle = await Promise.race([inFlight.idle().then(() => true), late]);
    enough.abort();
    checkpoint.reached(isIdle && !stopping() && allArrived());
  }

  function allArrived(): boolean {
    const { conflicting, failed } = tally.snapshot();
    return !leftAny && !fatal && !sorter.hasDeferred && conflicting + failed === 0;
  }

  /** Whether another pass may find keys that were added behind the scan's position. */
  async function mayBeMore(handedOn: number): Promise<boolean> {
    if (!source.remaining || handedOn === 0) return false;
    const { conflicting, failed } = tally.snapshot();
    // Keys that stay may be deleted by clients, and others take their place in the count.
    return conflicting + failed > 0 || (await source.remaining()) > 0;
  }

  for (let movedBefore = 0, idlePasses = 0; ;) {
    await pass().catch(endWith);
    await inFlight.idle();
    if (fatal) throw fatal;
    if (signal.aborted) return;
    const deferred = sorter.takeDeferredCount();
    const handedOn = sorter.takeHandedOnCount();
    const { moved, conflicting, failed } = tally.snapshot();
    const more = await mayBeMore(handedOn);
    const counts = { moved, conflicting, failed, deferred, handedOn };
    logger.info(counts, 'a pass over the source ended');
    idlePasses = moved === movedBefore ? idlePasses + 1 : 0;
    movedBefore = moved;
    if (deferred > 0 || (more && idlePasses < idlePassLimit && !unmoved.isFull)) continue;
    if (more) logger.warn(counts, 'keys may be left that are not reported: start again for them');
    return;
  }
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
