/**
 * Follows the sources from their first copy to the cutover: where that stands, and the cutover itself.
 *
 *   copying ─▶ catching-up ─▶ following ─▶ holding ─▶ cut-over
 *                                 ▲           │
 *                                 └───────────┘  too long, a failure, or `ctl release`
 *
 * Writes are held only while the last changes are copied and the clients are switched over. Whatever goes
 * wrong then, writes go on at the sources, which have everything: nothing is lost, and following goes on.
 *
 * The cluster takes over from all sources at one moment: all of them hold their writes before the last change of
 * any is looked for, and all of them let go if one of them fails.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { unlessAborted } from '../async.js';
import { ImportError, messageOf } from '../errors.js';
import type { FollowOptions } from '../options/options.js';
import type { Cutover, FollowStatus, KeyFailure, Logger, Phase } from '../types.js';
import type { FollowedDatabase } from './followed-database.js';
import type { FollowedServer } from './followed-server.js';
import type { Round } from './followed-source.js';
import { HeldServer } from './held-server.js';
import { Lag } from './lag.js';
import { runOnCutover } from './on-cutover.js';

export interface FollowerOptions {
  /** They have been joined. */
  readonly servers: readonly FollowedServer[];
  readonly options: Pick<FollowOptions, 'maxHoldMs' | 'onCutover' | 'cutover'>;
  /** While they are lifted, keys are copied as fast as it goes. */
  liftLimits(isLifted: boolean): void;
  /** @throws ImportError when keys are at servers that are not followed. */
  checkSources(): Promise<void>;
  /** Has all keys compared again if the cluster's nodes may lack some. */
  lookAtNodes(): Promise<void>;
  /** How many keys the cluster has. */
  clusterKeys(): Promise<number>;
  readonly logger: Logger;
  readonly tell: (sentence: string) => void;
  readonly warn: (sentence: string) => void;
}

/** How writes were held until the end. */
interface Hold {
  readonly heldFromMs: number;
  /** Clients write to the cluster already. */
  readonly hasSwitched: boolean;
  /** How many gaps the feeds had had when the last change was copied. */
  readonly gaps: number;
}

/** With no more than that waiting at the end of a round, the sources are followed closely. */
const closeKeys = 10_000;
/** How long rounds go on before writes are held, so that little is left for the hold. */
const quickRounds = 3;
const lateWritesMs = 200;
/** An automatic cutover that failed is tried again after so long. */
const tryAgainMs = 10_000;

export class Follower {
  readonly #options: FollowerOptions;
  readonly #databases: readonly FollowedDatabase[];
  readonly #lag = new Lag();
  /** How long a round takes, by database. */
  readonly #roundMs = new Map<FollowedDatabase, number>();
  #isFollowing = false;
  #isHolding = false;
  #heldFromMs = 0;
  #isOver = false;
  #copiedAgain = 0;
  #deleted = 0;
  #cutover: Cutover | null = null;
  #refused: string | null = null;
  #attempt: { readonly abort: AbortController; readonly outcome: Promise<void> } | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#databases = options.servers.flatMap(({ databases }) => databases);
  }

  get phase(): Phase {
    if (this.#cutover) return 'cut-over';
    if (this.#isHolding) return 'holding';
    if (!this.#isCopied) return 'copying';
    return this.#isFollowing ? 'following' : 'catching-up';
  }

  get status(): FollowStatus {
    const { servers } = this.#options;
    const count = this.#waiting;
    const roundMs = Math.max(...this.#roundMs.values());
    return {
      phase: this.phase,
      feed: [...new Set(servers.map(({ feedName }) => feedName))].join(', '),
      changes: sum(this.#databases.map(({ changed }) => changed.heard)),
      copiedAgain: this.#copiedAgain,
      deleted: this.#deleted,
      gaps: this.#gaps,
      lagMs: {
        p50: Math.round(this.#lag.quantileMs(0.5)),
        p99: Math.round(this.#lag.quantileMs(0.99)),
        max: Math.round(this.#lag.maxMs),
      },
      lagNowMs: Math.round(this.#lagNowMs()),
      heldMs:
        this.#cutover?.heldMs ??
        (this.#isHolding ? Math.round(performance.now() - this.#heldFromMs) : 0),
      changedKeys: count === Infinity ? null : count,
      expectedHoldMs:
        !this.#isFollowing || !Number.isFinite(roundMs) ? null : Math.ceil(2 * roundMs),
      refused: this.#refused,
      cutover: this.#cutover,
    };
  }

  noteCopies(copiedAgain: number, deleted: number): void {
    this.#copiedAgain += copiedAgain;
    this.#deleted += deleted;
  }

  roundEnded(database: FollowedDatabase, { keys, tookMs, lagMs }: Round): void {
    if (!database.source.isCopied) return;
    // What was left when the first copy was complete had to wait for that.
    if (this.#isFollowing && keys > 0 && keys !== Infinity) this.#lag.note(lagMs, keys);
    const before = this.#roundMs.get(database);
    this.#roundMs.set(database, before === undefined ? tookMs : (3 * before + tookMs) / 4);
    if (this.#isFollowing || !this.#isCopied || this.#waiting > closeKeys) return;
    this.#isFollowing = true;
    this.#options.tell('The first copy is complete, and the cluster follows the source.');
    if (this.#isAutomatic) void this.cutOver().catch(() => undefined);
  }

  /**
   * Holds writes, copies what is left, switches the clients over, and ends the following.
   * @throws ImportError in one sentence: writes go on at the sources then.
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
   * Lets writes go on at the sources, if they are held.
   * @param why one clause in plain English.
   */
  async release(why: string): Promise<void> {
    const { abort, outcome } = this.#attempt ?? {};
    abort?.abort(new ImportError(why));
    await outcome?.catch(() => undefined);
  }

  get #isCopied(): boolean {
    return this.#databases.every(({ source }) => source.isCopied);
  }

  /** How many keys wait to be copied; Infinity: all of a database. */
  get #waiting(): number {
    return sum(this.#databases.map(({ changed }) => changed.count));
  }

  get #gaps(): number {
    return sum(this.#options.servers.flatMap(({ feeds }) => feeds.map(({ gaps }) => gaps)));
  }

  get #isAutomatic(): boolean {
    return this.#options.options.cutover === 'auto';
  }

  #lagNowMs(): number {
    const nowMs = performance.now();
    const waits = this.#databases.map(({ changed }) =>
      changed.sinceMs === undefined ? 0 : nowMs - changed.sinceMs,
    );
    const silences = this.#options.servers.flatMap(({ feeds }) =>
      feeds.map((feed) => (feed.isUp ? 0 : Date.now() - feed.heardAtMs)),
    );
    return Math.max(0, ...waits, ...silences);
  }

  async #tryToCutOver(abort: AbortController): Promise<void> {
    const { servers, tell, warn, logger } = this.#options;
    const { maxHoldMs, onCutover } = this.#options.options;
    const { signal } = abort;
    for (const { source } of this.#databases) source.hurry(true);
    // Every key that waits is one that writes are held for.
    this.#options.liftLimits(true);
    let timer: NodeJS.Timeout | undefined;
    const held = servers.map((server) => new HeldServer(server));
    let hasSwitched = false;
    try {
      // Ahead of the hold: it may be known already that there can be no cutover, or that much has to be copied.
      await unlessAborted(this.#options.checkSources(), signal);
      // What has to be looked for takes its time while writes go on.
      await each(held, (one) => one.caughtUp(signal));
      for (let round = 0; round < quickRounds; round++) {
        await unlessAborted(this.#nextRound(), signal);
      }
      await each(held, (one) => enterBySideDoor(one, signal));
      const atMs = Date.now();
      const heldFromMs = performance.now();
      this.#heldFromMs = heldFromMs;
      this.#isHolding = true;
      timer = setTimeout(() => {
        const words = `writes were held for ${String(maxHoldMs)} ms (--max-hold), and let go`;
        abort.abort(new ImportError(words));
      }, maxHoldMs);
      await this.#copyTheRest(held, signal);
      const gaps = this.#gaps;
      const [sourceKeys, clusterKeys] = await unlessAborted(
        Promise.all([each(held, (one) => one.countKeys()), this.#options.clusterKeys()]),
        signal,
      );
      const keys = { source: sum(sourceKeys), cluster: clusterKeys };
      if (onCutover !== undefined) {
        await runOnCutover(onCutover, signal);
        hasSwitched = true;
      }
      signal.throwIfAborted();
      clearTimeout(timer);
      // From here on the cluster counts: nothing is taken back any more.
      const end = await this.#end(held, { heldFromMs, hasSwitched, gaps });
      const fence = [...new Set(held.map((one) => one.fence.name))].join(', ');
      const cutover = { at: new Date(atMs).toISOString(), fence, keys, ...end };
      this.#cutover = cutover;
      logger.info({ ...cutover }, 'cut over');
      tell(`Cut over: writes were held for ${String(cutover.heldMs)} ms.`);
      for (const { source } of this.#databases) source.end();
    } catch (error) {
      clearTimeout(timer);
      const reason: unknown = signal.aborted ? signal.reason : error;
      if (this.#isHolding) await each(held, (one) => this.#letGo(one));
      this.#isHolding = false;
      for (const server of servers) if (server.fence.holdsAll) server.leaveSideDoor();
      for (const { source } of this.#databases) {
        source.thaw();
        source.hurry(false);
      }
      this.#refused = `No cutover: ${messageOf(reason).replace(/\.$/, '')}. Writes go on at the source, and it is followed.`;
      warn(this.#refused);
      if (this.#isAutomatic) this.#tryAgainLater();
      throw new ImportError(this.#refused, { cause: reason });
    } finally {
      this.#options.liftLimits(false);
      for (const one of held) one.close();
    }
  }

  #tryAgainLater(): void {
    const timer = setTimeout(() => {
      if (!this.#isOver) void this.cutOver().catch(() => undefined);
    }, tryAgainMs);
    timer.unref();
  }

  /** Copies until nothing is left of what the sources have acknowledged, and lets nothing of it come afterwards. */
  async #copyTheRest(held: readonly HeldServer[], signal: AbortSignal): Promise<void> {
    const comparedMs = new Map<HeldServer, number>();
    for (let isFirst = true; ; isFirst = false) {
      await unlessAborted(
        each(held, ({ fence }) => fence.hold()),
        signal,
      );
      // What their clients' writes have kept from being read stands still now.
      if (isFirst) for (const { unmoved } of this.#databases) unmoved.tryNow();
      for (const one of held) {
        if (one.server.feedName !== 'none') continue;
        const lastMs = comparedMs.get(one);
        if (lastMs !== undefined && one.fence.hasHeldSince(lastMs)) continue;
        comparedMs.set(one, performance.now());
        for (const { changed } of one.server.databases) {
          changed.noteEverything('nobody has told of what was changed');
        }
      }
      await each(held, (one) => one.caughtUp(signal));
      await unlessAborted(this.#nextRound(), signal);
      await unlessAborted(
        Promise.all([this.#options.lookAtNodes(), this.#options.checkSources()]),
        signal,
      );
      // Behind the check: keys of a server that is no master any more can't be copied, and it says why.
      this.#refuseUnmoved();
      // A write may have slipped through a fence that refuses, or that was out of force for a moment.
      const nowMs = performance.now();
      await each(held, (one) => one.caughtUp(signal));
      // Whoever writes in the cluster from now on must not be undone by what expires at a source.
      await unlessAborted(
        each(this.#databases, ({ source }) => source.freeze()),
        signal,
      );
      if (this.#waiting === 0 && held.every(({ fence }) => fence.hasHeldSince(nowMs))) return;
      for (const { source } of this.#databases) source.thaw();
    }
  }

  /** How a sentence about it begins. */
  #whichOf(server: FollowedServer): string {
    return this.#options.servers.length === 1 ? 'The source' : server.address;
  }

  async #nextRound(): Promise<void> {
    await each(this.#databases, ({ source }) => source.nextRound());
  }

  /** @throws ImportError where keys could not be copied. */
  #refuseUnmoved(): void {
    const count = sum(this.#databases.map(({ unmoved }) => unmoved.count));
    const first = this.#databases
      .map(({ unmoved }) => unmoved.first)
      .find((failure): failure is KeyFailure => failure !== undefined);
    if (!first) return;
    const which = count === 1 ? 'a key' : `${String(count)} keys`;
    throw new ImportError(`${which} could not be copied (${first.message})`);
  }

  /**
   * Leaves the sources so that they take no more writes, where that can be had.
   * @throws ConnectionError when one can't be reached, unless the clients have been switched over.
   */
  async #end(
    held: readonly HeldServer[],
    { heldFromMs, hasSwitched, gaps }: Hold,
  ): Promise<Pick<Cutover, 'heldMs' | 'lateWrites' | 'source' | 'minReplicasToWrite'>> {
    const { warn } = this.#options;
    const tellWritable = (server: FollowedServer, reason: string): void => {
      warn(
        `${this.#whichOf(server)} could not be made to refuse writes (${reason}): keep its clients off.`,
      );
    };
    const replicasBefore = await each(held, async ({ server, fence }) => {
      try {
        const before = await fence.shut();
        if (before === undefined) {
          tellWritable(server, 'it does not let us (CONFIG SET min-replicas-to-write)');
        }
        return before;
      } catch (error) {
        if (!hasSwitched) throw error;
        tellWritable(server, messageOf(error));
        return undefined;
      }
    });
    await each(held, ({ fence }) => fence.unpause().catch(() => undefined));
    const heldMs = Math.round(performance.now() - heldFromMs);
    await delay(lateWritesMs);
    const lateWrites = sum(await each(held, (one) => this.#lateWrites(one, gaps)));
    return {
      heldMs,
      lateWrites,
      source: replicasBefore.includes(undefined) ? 'writable' : 'refuses writes',
      minReplicasToWrite: replicasOf(held, replicasBefore),
    };
  }

  /** What was heard of since: all before that has been copied. */
  async #lateWrites(one: HeldServer, gaps: number): Promise<number> {
    const { warn } = this.#options;
    const { server } = one;
    const which = this.#whichOf(server);
    let lateWrites = 0;
    let unknown: string | undefined;
    for (const database of server.databases) {
      const { names, everything } = database.changed.take();
      const late = [...names];
      lateWrites += await one.countThere(database, late).catch(() => late.length);
      unknown ??= everything;
    }
    // Of a script or FLUSHALL it is not known which keys it wrote to.
    // A feed that was lost meanwhile, and can't go on, has heard of none.
    if (unknown !== undefined && this.#gaps === gaps) {
      warn(
        `${which} was written to after the cutover (${unknown}), which is not in the cluster: some client still writes there.`,
      );
      return Math.max(1, lateWrites);
    }
    if (lateWrites > 0) {
      warn(
        `${which} took writes to ${String(lateWrites)} keys after the cutover, which are not in the cluster: some client still writes there.`,
      );
    }
    return lateWrites;
  }

  async #letGo({ server, fence }: HeldServer): Promise<void> {
    const { warn } = this.#options;
    try {
      await fence.release();
    } catch (error) {
      const way =
        fence.name === 'pause'
          ? 'they go on within 3 s'
          : 'set its min-replicas-to-write back by hand';
      warn(
        `${this.#whichOf(server)} could not be told to let writes go on (${messageOf(error)}): ${way}.`,
      );
    }
  }
}

/** Where the fence holds all clients: the source is read by another way then, which is none of theirs. */
async function enterBySideDoor(held: HeldServer, signal: AbortSignal): Promise<void> {
  const { server } = held;
  if (!server.fence.holdsAll) return;
  const sources = server.databases.map(({ source }) => source);
  await unlessAborted(
    each(sources, (source) => source.freeze()),
    signal,
  );
  await unlessAborted(held.enterBySideDoor(), signal);
  for (const source of sources) source.thaw();
}

/** How many replicas each wanted: the number of the one, or all by address. */
function replicasOf(
  held: readonly HeldServer[],
  before: readonly (number | undefined)[],
): Cutover['minReplicasToWrite'] {
  if (held.length === 1) return before[0] ?? null;
  const known = held.flatMap(({ server }, index) => {
    const count = before[index];
    return count === undefined ? [] : [[server.address, count] as const];
  });
  return known.length === 0 ? null : Object.fromEntries(known);
}

function each<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  return Promise.all(all.map(work));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
