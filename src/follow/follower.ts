/**
 * Follows one source from its first copy to the cutover: where that stands, and the cutover itself.
 *
 *   copying ─▶ catching-up ─▶ following ─▶ holding ─▶ cut-over
 *                                 ▲           │
 *                                 └───────────┘  too long, a failure, or `ctl release`
 *
 * Writes are held only while the last changes are copied and the clients are switched over. Whatever goes
 * wrong then, writes go on at the source, which has everything: nothing is lost, and following goes on.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { unlessAborted } from '../async.js';
import { ImportError, messageOf } from '../errors.js';
import type { AskSource, Feed } from '../feed/feed.js';
import type { Control } from '../redis/control.js';
import type { Cutover, FollowStatus, Logger, Phase } from '../types.js';
import type { ChangedKeys } from './changed-keys.js';
import { createFence, type Fence, type SourceFence } from './fence.js';
import type { FollowedSource, Round } from './followed-source.js';
import { Lag } from './lag.js';
import { runOnCutover } from './on-cutover.js';
import { SourceLine } from './source-line.js';
import type { UnmovedKeys } from './unmoved-keys.js';

export interface FollowerOptions {
  readonly source: FollowedSource;
  readonly changed: ChangedKeys;
  readonly feed: Feed;
  readonly fence: SourceFence;
  /** Connects to the source, for the commands of a cutover. */
  openControl(): Promise<Control>;
  /**
   * Where the fence holds all clients: from then on the source is read by another way, which is none of theirs.
   * Called while nothing is under way.
   */
  enterBySideDoor(): Promise<void>;
  leaveSideDoor(): void;
  /** While they are lifted, keys are copied as fast as it goes. */
  liftLimits(isLifted: boolean): void;
  readonly maxHoldMs: number;
  readonly onCutover: string | undefined;
  /** Cut over as soon as the copy is complete and little waits. */
  readonly isAutomatic: boolean;
  /** What has happened to the cluster's nodes since the last look, so that they may lack keys. */
  lookAtNodes(): Promise<string | undefined>;
  /** How many keys the cluster has. */
  clusterKeys(): Promise<number>;
  readonly unmoved: UnmovedKeys;
  readonly logger: Logger;
  readonly tell: (sentence: string) => void;
  readonly warn: (sentence: string) => void;
}

/** How writes were held until the end. */
interface Hold {
  readonly heldFromMs: number;
  /** Clients write to the cluster already. */
  readonly hasSwitched: boolean;
  /** How many gaps the feed had had when the last change was copied. */
  readonly gaps: number;
}

/** With no more than that waiting at the end of a round, the source is followed closely. */
const closeKeys = 10_000;
/** How long rounds go on before writes are held, so that little is left for the hold. */
const quickRounds = 3;
const lateWritesMs = 200;
/** An automatic cutover that failed is tried again after so long. */
const tryAgainMs = 10_000;

export class Follower {
  readonly #options: FollowerOptions;
  readonly #lag = new Lag();
  #isFollowing = false;
  #isHolding = false;
  #heldFromMs = 0;
  #isOver = false;
  #copiedAgain = 0;
  #deleted = 0;
  #roundMs: number | undefined;
  #cutover: Cutover | null = null;
  #refused: string | null = null;
  #attempt: { readonly abort: AbortController; readonly outcome: Promise<void> } | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  get phase(): Phase {
    if (this.#cutover) return 'cut-over';
    if (this.#isHolding) return 'holding';
    if (!this.#options.source.isCopied) return 'copying';
    return this.#isFollowing ? 'following' : 'catching-up';
  }

  get status(): FollowStatus {
    const { changed, feed } = this.#options;
    const { count, sinceMs } = changed;
    return {
      phase: this.phase,
      feed: feed.kind,
      changes: changed.heard,
      copiedAgain: this.#copiedAgain,
      deleted: this.#deleted,
      gaps: feed.gaps,
      lagMs: {
        p50: Math.round(this.#lag.quantileMs(0.5)),
        p99: Math.round(this.#lag.quantileMs(0.99)),
        max: Math.round(this.#lag.maxMs),
      },
      lagNowMs: Math.round(
        Math.max(
          sinceMs === undefined ? 0 : performance.now() - sinceMs,
          feed.isUp ? 0 : Date.now() - feed.heardAtMs,
        ),
      ),
      heldMs:
        this.#cutover?.heldMs ??
        (this.#isHolding ? Math.round(performance.now() - this.#heldFromMs) : 0),
      changedKeys: count === Infinity ? null : count,
      expectedHoldMs:
        !this.#isFollowing || this.#roundMs === undefined ? null : Math.ceil(2 * this.#roundMs),
      refused: this.#refused,
      cutover: this.#cutover,
    };
  }

  noteCopies(copiedAgain: number, deleted: number): void {
    this.#copiedAgain += copiedAgain;
    this.#deleted += deleted;
  }

  roundEnded({ keys, tookMs, lagMs }: Round): void {
    const { source, changed, tell } = this.#options;
    if (!source.isCopied) return;
    // What was left when the first copy was complete had to wait for that.
    if (this.#isFollowing && keys > 0 && keys !== Infinity) this.#lag.note(lagMs, keys);
    this.#roundMs = this.#roundMs === undefined ? tookMs : (3 * this.#roundMs + tookMs) / 4;
    if (this.#isFollowing || changed.count > closeKeys) return;
    this.#isFollowing = true;
    tell('The first copy is complete, and the cluster follows the source.');
    if (this.#options.isAutomatic) void this.cutOver().catch(() => undefined);
  }

  /**
   * Holds writes, copies what is left, switches the clients over, and ends the following.
   * @throws ImportError in one sentence: writes go on at the source then.
   */
  cutOver(): Promise<void> {
    if (this.#cutover) return Promise.resolve();
    if (this.#attempt) return this.#attempt.outcome;
    if (!this.#isFollowing) {
      const words = `The cluster does not follow the source closely yet (${this.phase}): try again later.`;
      return Promise.reject(new ImportError(words));
    }
    const abort = new AbortController();
    const outcome = this.#tryToCutOver(abort).finally(() => {
      this.#attempt = undefined;
    });
    // Where nobody waits for it, the status tells.
    outcome.catch(() => undefined);
    this.#attempt = { abort, outcome };
    return outcome;
  }

  /** No cutover is tried any more. @param why one clause in plain English. */
  async end(why: string): Promise<void> {
    this.#isOver = true;
    await this.release(why);
  }

  /**
   * Lets writes go on at the source, if they are held.
   * @param why one clause in plain English.
   */
  async release(why: string): Promise<void> {
    const { abort, outcome } = this.#attempt ?? {};
    abort?.abort(new ImportError(why));
    await outcome?.catch(() => undefined);
  }

  async #tryToCutOver(abort: AbortController): Promise<void> {
    const { source, feed, tell, warn, logger } = this.#options;
    const { signal } = abort;
    source.hurry(true);
    // Every key that waits is one that writes are held for.
    this.#options.liftLimits(true);
    let timer: NodeJS.Timeout | undefined;
    const line = new SourceLine(() => this.#options.openControl());
    const fence = createFence(this.#options.fence, line);
    let hasSwitched = false;
    try {
      // What has to be looked for takes its time while writes go on.
      await feed.caughtUp((work) => line.use(work), signal);
      for (let round = 0; round < quickRounds; round++)
        await unlessAborted(source.nextRound(), signal);
      if (this.#options.fence.holdsAll) await this.#enterBySideDoor(line, signal);
      const atMs = Date.now();
      const heldFromMs = performance.now();
      this.#heldFromMs = heldFromMs;
      this.#isHolding = true;
      timer = setTimeout(() => {
        const words = `writes were held for ${String(this.#options.maxHoldMs)} ms (--max-hold), and let go`;
        abort.abort(new ImportError(words));
      }, this.#options.maxHoldMs);
      await this.#copyTheRest(line, fence, signal);
      const { gaps } = feed;
      const [sourceKeys, clusterKeys] = await unlessAborted(
        Promise.all([line.use((control) => control.call('DBSIZE')), this.#options.clusterKeys()]),
        signal,
      );
      const keys = { source: Number(sourceKeys), cluster: clusterKeys };
      const { onCutover } = this.#options;
      if (onCutover !== undefined) {
        await runOnCutover(onCutover, signal);
        hasSwitched = true;
      }
      signal.throwIfAborted();
      clearTimeout(timer);
      // From here on the cluster counts: nothing is taken back any more.
      const end = await this.#end(line, fence, { heldFromMs, hasSwitched, gaps });
      const cutover = { at: new Date(atMs).toISOString(), fence: fence.name, keys, ...end };
      this.#cutover = cutover;
      logger.info({ ...cutover }, 'cut over');
      tell(`Cut over: writes were held for ${String(cutover.heldMs)} ms.`);
      source.end();
    } catch (error) {
      clearTimeout(timer);
      const reason: unknown = signal.aborted ? signal.reason : error;
      if (this.#isHolding) await this.#letGo(fence);
      this.#isHolding = false;
      if (this.#options.fence.holdsAll) this.#options.leaveSideDoor();
      source.thaw();
      source.hurry(false);
      this.#refused = `No cutover: ${messageOf(reason).replace(/\.$/, '')}. Writes go on at the source, and it is followed.`;
      warn(this.#refused);
      if (this.#options.isAutomatic) this.#tryAgainLater();
      throw new ImportError(this.#refused, { cause: reason });
    } finally {
      this.#options.liftLimits(false);
      line.close();
    }
  }

  #tryAgainLater(): void {
    const timer = setTimeout(() => {
      if (!this.#isOver) void this.cutOver().catch(() => undefined);
    }, tryAgainMs);
    timer.unref();
  }

  async #enterBySideDoor(line: SourceLine, signal: AbortSignal): Promise<void> {
    const { source } = this.#options;
    await unlessAborted(source.freeze(), signal);
    await unlessAborted(this.#options.enterBySideDoor(), signal);
    line.renew();
    source.thaw();
  }

  /** Copies until nothing is left of what the source has acknowledged, and lets nothing of it come afterwards. */
  async #copyTheRest(line: SourceLine, fence: Fence, signal: AbortSignal): Promise<void> {
    const { feed, changed, source, unmoved } = this.#options;
    const askSource: AskSource = (work) => line.use(work);
    let comparedMs: number | undefined;
    for (let isFirst = true; ; isFirst = false) {
      await unlessAborted(fence.hold(), signal);
      // What their clients' writes have kept from being read stands still now.
      if (isFirst) unmoved.tryNow();
      if (feed.kind === 'none' && (comparedMs === undefined || !fence.hasHeldSince(comparedMs))) {
        comparedMs = performance.now();
        changed.noteEverything('nobody has told of what was changed');
      }
      await feed.caughtUp(askSource, signal);
      await unlessAborted(source.nextRound(), signal);
      const { count, first } = unmoved;
      if (first) {
        const which = count === 1 ? 'a key' : `${String(count)} keys`;
        throw new ImportError(`${which} could not be copied (${first.message})`);
      }
      const why = await unlessAborted(this.#options.lookAtNodes(), signal);
      if (why !== undefined) changed.noteEverything(why);
      // A write may have slipped through a fence that refuses, or that was out of force for a moment.
      const nowMs = performance.now();
      await feed.caughtUp(askSource, signal);
      // Whoever writes in the cluster from now on must not be undone by what expires at the source.
      await unlessAborted(source.freeze(), signal);
      if (changed.count === 0 && fence.hasHeldSince(nowMs)) return;
      source.thaw();
    }
  }

  /**
   * Leaves the source so that it takes no more writes, where that can be had.
   * @throws ConnectionError when the source can't be reached, unless the clients have been switched over.
   */
  async #end(
    line: SourceLine,
    fence: Fence,
    { heldFromMs, hasSwitched, gaps }: Hold,
  ): Promise<Pick<Cutover, 'heldMs' | 'lateWrites' | 'source' | 'minReplicasToWrite'>> {
    const { changed, feed, warn } = this.#options;
    let reason = 'it does not let us (CONFIG SET min-replicas-to-write)';
    const replicasBefore = await fence.shut().catch((error: unknown) => {
      if (!hasSwitched) throw error;
      reason = messageOf(error);
      return undefined;
    });
    const isRefusing = replicasBefore !== undefined;
    await fence.unpause().catch(() => undefined);
    const heldMs = Math.round(performance.now() - heldFromMs);
    await delay(lateWritesMs);
    // All that was heard before has been copied.
    const { names, everything } = changed.take();
    const late = [...names];
    const found = await line.use((control) => countThere(control, late)).catch(() => late.length);
    // Of a script or FLUSHALL it is not known which keys it wrote to.
    // A feed that was lost meanwhile, and can't go on, has heard of none.
    const isLate = everything !== undefined && feed.gaps === gaps;
    const lateWrites = isLate ? Math.max(1, found) : found;
    if (!isRefusing) {
      warn(`The source could not be made to refuse writes (${reason}): keep its clients off.`);
    }
    if (isLate) {
      warn(
        `The source was written to after the cutover (${everything}), which is not in the cluster: some client still writes there.`,
      );
    } else if (lateWrites > 0) {
      warn(
        `The source took writes to ${String(lateWrites)} keys after the cutover, which are not in the cluster: some client still writes there.`,
      );
    }
    return {
      heldMs,
      lateWrites,
      source: isRefusing ? 'refuses writes' : 'writable',
      minReplicasToWrite: replicasBefore ?? null,
    };
  }

  async #letGo(fence: Fence): Promise<void> {
    const { warn } = this.#options;
    try {
      await fence.release();
    } catch (error) {
      const way =
        fence.name === 'pause'
          ? 'they go on within 3 s'
          : 'set its min-replicas-to-write back by hand';
      warn(`The source could not be told to let writes go on (${messageOf(error)}): ${way}.`);
    }
  }
}

/**
 * How many of these keys the source has, of the first thousand: those that it has not have expired, which
 * they do in the cluster as well.
 */
async function countThere(control: Control, names: readonly string[]): Promise<number> {
  const keys = names.slice(0, 1000).map((name) => Buffer.from(name, 'latin1'));
  const there = await Promise.all(keys.map((key) => control.call('EXISTS', key)));
  return there.filter((count) => count === 1).length;
}
