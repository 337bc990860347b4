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
 * any is looked for, and all of them let go if one of them fails. How long changes waited, and the command of
 * `--on-cutover`, stand at the end.
 */
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { unlessAborted } from '../async.js';
import { ImportError, messageOf, withoutStop } from '../errors.js';
import type { FollowOptions } from '../options/options.js';
import type { Cutover, FollowStatus, Logger, Phase } from '../types.js';
import type { Round } from './followed-source.js';
import type { Participant, Unmoved } from './participant.js';
import { sum } from './sum.js';

export interface FollowerOptions {
  /** They have been joined. */
  readonly participants: readonly Participant[];
  readonly options: Pick<FollowOptions, 'maxHoldMs' | 'onCutover' | 'cutover'>;
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

/** With no more than that waiting at the end of a round, the sources are followed closely. */
const closeKeys = 10_000;
const lateWritesMs = 200;
/** An automatic cutover that failed is tried again after so long. */
const tryAgainMs = 10_000;

export class Follower {
  readonly #options: FollowerOptions;
  readonly #lag = new Lag();
  /** How long a round takes, by database. */
  readonly #roundMs = new Map<string, number>();
  /** The databases of which a node holds keys up: how long writes would be held for them nobody knows. */
  readonly #heldUp = new Set<string>();
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
    for (const one of options.participants) {
      one.onLost((error) => {
        this.#attempt?.abort.abort(error);
      });
    }
  }

  get phase(): Phase {
    if (this.#cutover) return 'cut-over';
    if (this.#isHolding) return 'holding';
    if (!this.#isCopied) return 'copying';
    return this.#isFollowing ? 'following' : 'catching-up';
  }

  get status(): FollowStatus {
    const states = this.#options.participants.map(({ state }) => state);
    const count = this.#waiting;
    const roundMs = Math.max(...this.#roundMs.values());
    return {
      phase: this.phase,
      feed: [...new Set(states.map(({ feed }) => feed))].join(', '),
      changes: sum(states.map(({ changes }) => changes)),
      copiedAgain: this.#copiedAgain,
      deleted: this.#deleted,
      gaps: sum(states.map(({ gaps }) => gaps)),
      lagMs: {
        p50: Math.round(this.#lag.quantileMs(0.5)),
        p99: Math.round(this.#lag.quantileMs(0.99)),
        max: Math.round(this.#lag.maxMs),
      },
      lagNowMs: Math.round(Math.max(0, ...states.map(({ lagMs }) => lagMs))),
      heldMs:
        this.#cutover?.heldMs ??
        (this.#isHolding ? Math.round(performance.now() - this.#heldFromMs) : 0),
      changedKeys: count === Infinity ? null : count,
      expectedHoldMs:
        !this.#isFollowing || this.#heldUp.size > 0 || !Number.isFinite(roundMs)
          ? null
          : Math.ceil(2 * roundMs),
      refused: this.#refused,
      cutover: this.#cutover,
    };
  }

  noteCopies(copiedAgain: number, deleted: number): void {
    this.#copiedAgain += copiedAgain;
    this.#deleted += deleted;
  }

  /** @param database whose first copy is complete. */
  roundEnded(database: string, { keys, tookMs, lagMs, isWhole }: Round): void {
    // What was left when the first copy was complete had to wait for that.
    if (this.#isFollowing && keys > 0 && keys !== Infinity) this.#lag.note(lagMs, keys);
    if (isWhole) {
      this.#heldUp.delete(database);
      const before = this.#roundMs.get(database);
      this.#roundMs.set(database, before === undefined ? tookMs : (3 * before + tookMs) / 4);
    } else this.#heldUp.add(database);
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
    if (this.phase !== 'following') {
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
    return this.#options.participants.every(({ state }) => state.isCopied);
  }

  /** How many keys wait to be copied; Infinity: all of a database. */
  get #waiting(): number {
    return sum(this.#options.participants.map(({ state }) => state.waiting ?? Infinity));
  }

  get #isAutomatic(): boolean {
    return this.#options.options.cutover === 'auto';
  }

  async #tryToCutOver(abort: AbortController): Promise<void> {
    const { participants, tell, warn, logger } = this.#options;
    const { maxHoldMs, onCutover } = this.#options.options;
    const { signal } = abort;
    // Every key that waits is one that writes are held for.
    for (const one of participants) one.hurry(true);
    let timer: NodeJS.Timeout | undefined;
    let hasSwitched = false;
    try {
      // Ahead of the hold: it may be known already that there can be no cutover, or that much has to be copied.
      await unlessAborted(this.#options.checkSources(), signal);
      await this.#each((one) => one.prepare(), signal);
      await this.#each((one) => one.approach(), signal);
      const atMs = Date.now();
      const heldFromMs = performance.now();
      this.#heldFromMs = heldFromMs;
      this.#isHolding = true;
      timer = setTimeout(() => {
        const words = `writes were held for ${String(maxHoldMs)} ms (--max-hold), and let go`;
        abort.abort(new ImportError(words));
      }, maxHoldMs);
      const keys = await this.#copyTheRest(signal);
      if (onCutover !== undefined) {
        await runOnCutover(onCutover, signal);
        hasSwitched = true;
      }
      signal.throwIfAborted();
      // Clients that have gone over count: nothing is taken back any more.
      if (hasSwitched) clearTimeout(timer);
      const replicasBefore = await this.#shutAll(hasSwitched, signal);
      clearTimeout(timer);
      const end = await this.#end(heldFromMs, replicasBefore);
      const fence = [...new Set(participants.map(({ state }) => state.fence))].join(', ');
      const cutover = { at: new Date(atMs).toISOString(), fence, keys, ...end };
      this.#cutover = cutover;
      logger.info({ ...cutover }, 'cut over');
      tell(`Cut over: writes were held for ${String(cutover.heldMs)} ms.`);
      for (const one of participants) one.end();
    } catch (error) {
      clearTimeout(timer);
      const reason: unknown = signal.aborted ? signal.reason : error;
      await Promise.all(participants.map((one) => this.#letGo(one)));
      this.#isHolding = false;
      this.#refused = `No cutover: ${withoutStop(messageOf(reason))}. Writes go on at the source, and it is followed.`;
      warn(this.#refused);
      if (this.#isAutomatic) this.#tryAgainLater();
      throw new ImportError(this.#refused, { cause: reason });
    }
  }

  #tryAgainLater(): void {
    const timer = setTimeout(() => {
      if (this.#isOver || this.#cutover) return;
      // A source that is taken up again by another process is not followed closely for a while.
      if (this.phase === 'following') void this.cutOver().catch(() => undefined);
      else this.#tryAgainLater();
    }, tryAgainMs);
    timer.unref();
  }

  /**
   * Copies until nothing is left of what the sources have acknowledged, and lets nothing of it come afterwards.
   * @returns how many keys both have then.
   */
  async #copyTheRest(signal: AbortSignal): Promise<Cutover['keys']> {
    for (;;) {
      await this.#each((one) => one.hold(), signal);
      const unmoved = await this.#each((one) => one.copyTheRest(), signal);
      await unlessAborted(
        Promise.all([this.#options.lookAtNodes(), this.#options.checkSources()]),
        signal,
      );
      // Behind the check: keys of a server that is no master any more can't be copied, and it says why.
      refuseUnmoved(unmoved);
      const isDone = await this.#each((one) => one.settle(), signal);
      const [stands, cluster] = await Promise.all([
        this.#each((one) => one.look(), signal),
        unlessAborted(this.#options.clusterKeys(), signal),
      ]);
      if (!isDone.includes(false) && stands.every(({ isStill }) => isStill)) {
        return { source: sum(stands.map(({ keys }) => keys)), cluster };
      }
      for (const one of this.#options.participants) one.goOn();
    }
  }

  /** A step of all, which is over when it is at each of them. */
  #each<T>(step: (one: Participant) => Promise<T>, signal: AbortSignal): Promise<T[]> {
    return unlessAborted(Promise.all(this.#options.participants.map(step)), signal);
  }

  /** How a sentence about it begins. */
  #whichOf({ address }: Participant): string {
    return this.#options.participants.length === 1 ? 'The source' : address;
  }

  /**
   * Leaves the sources so that they take no more writes, where that can be had.
   * @param hasSwitched clients write to the cluster already.
   * @returns how many replicas each wanted for a write before; null: it does not let us.
   * @throws ConnectionError when one can't be reached, and the signal's reason, unless the clients have been switched over.
   */
  async #shutAll(hasSwitched: boolean, signal: AbortSignal): Promise<readonly (number | null)[]> {
    const { warn, participants } = this.#options;
    const tellWritable = (one: Participant, reason: string): void => {
      warn(
        `${this.#whichOf(one)} could not be made to refuse writes (${reason}): keep its clients off.`,
      );
    };
    const shut = participants.map(async (one) => {
      try {
        const before = await one.shut(hasSwitched);
        if (before === null) {
          tellWritable(one, 'it does not let us (CONFIG SET min-replicas-to-write)');
        }
        return before;
      } catch (error) {
        if (!hasSwitched) throw error;
        tellWritable(one, messageOf(error));
        return null;
      }
    });
    const all = Promise.all(shut);
    return hasSwitched ? all : unlessAborted(all, signal);
  }

  /** Lets go what waits, and looks for what came late. */
  async #end(
    heldFromMs: number,
    replicasBefore: readonly (number | null)[],
  ): Promise<Pick<Cutover, 'heldMs' | 'lateWrites' | 'source' | 'minReplicasToWrite'>> {
    const { participants } = this.#options;
    await Promise.all(participants.map((one) => one.unpause().catch(() => undefined)));
    const heldMs = Math.round(performance.now() - heldFromMs);
    await delay(lateWritesMs);
    const lateWrites = sum(await Promise.all(participants.map((one) => this.#lateWrites(one))));
    return {
      heldMs,
      lateWrites,
      source: replicasBefore.includes(null) ? 'writable' : 'refuses writes',
      minReplicasToWrite: replicasOf(participants, replicasBefore),
    };
  }

  /** What was heard of since: all before that has been copied. */
  async #lateWrites(one: Participant): Promise<number> {
    const { warn } = this.#options;
    const which = this.#whichOf(one);
    const { keys, unknown } = await one.lateWrites().catch(() => ({ keys: 0, unknown: null }));
    // Of a script or FLUSHALL it is not known which keys it wrote to.
    if (unknown !== null) {
      warn(
        `${which} was written to after the cutover (${unknown}), which is not in the cluster: some client still writes there.`,
      );
      return Math.max(1, keys);
    }
    if (keys > 0) {
      warn(
        `${which} took writes to ${String(keys)} keys after the cutover, which are not in the cluster: some client still writes there.`,
      );
    }
    return keys;
  }

  async #letGo(one: Participant): Promise<void> {
    const trouble = await one.letGo();
    if (trouble === null) return;
    this.#options.warn(`${this.#whichOf(one)} could not be told to let writes go on ${trouble}.`);
  }
}

/** @throws ImportError where keys could not be copied. */
function refuseUnmoved(all: readonly (Unmoved | null)[]): void {
  const known = all.filter((one): one is Unmoved => one !== null);
  const [first] = known;
  if (!first) return;
  const count = sum(known.map((one) => one.count));
  const which = count === 1 ? 'a key' : `${String(count)} keys`;
  throw new ImportError(`${which} could not be copied (${first.message})`);
}

/** How many replicas each wanted: the number of the one, or all by address. */
function replicasOf(
  participants: readonly Participant[],
  before: readonly (number | null)[],
): Cutover['minReplicasToWrite'] {
  if (participants.length === 1) return before[0] ?? null;
  const known = participants.flatMap(({ address }, index) => {
    const count = before[index] ?? null;
    return count === null ? [] : [[address, count] as const];
  });
  return known.length === 0 ? null : Object.fromEntries(known);
}

/* How long changes had to wait until they were copied: shares of all, in bounded memory. */

/** Each bucket is a tenth wider than the one before. */
const growth = Math.log(1.1);

class Lag {
  readonly #buckets: number[] = [];
  #count = 0;
  #maxMs = 0;

  /** @param keys how many keys waited that long, at most. */
  note(lagMs: number, keys: number): void {
    const bucket = Math.max(0, Math.ceil(Math.log(Math.max(1, lagMs)) / growth));
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + keys;
    this.#count += keys;
    this.#maxMs = Math.max(this.#maxMs, lagMs);
  }

  /** The lag that this share of the changes did not exceed, to a tenth, in ms. */
  quantileMs(share: number): number {
    let left = share * this.#count;
    for (const [bucket, keys = 0] of this.#buckets.entries()) {
      left -= keys;
      if (keys > 0 && left <= 0) return Math.min(this.#maxMs, Math.exp(bucket * growth));
    }
    return this.#maxMs;
  }

  get maxMs(): number {
    return this.#maxMs;
  }
}

/* Runs the command of `--on-cutover`, which switches the clients over. */

/**
 * Runs it in a shell, with its output on our standard error.
 * @param signal ends it.
 * @throws ImportError when it can't be run, fails, or is ended.
 */
async function runOnCutover(command: string, signal: AbortSignal): Promise<void> {
  const child = spawn(command, {
    shell: true,
    stdio: ['ignore', process.stderr, process.stderr],
    env: withoutSecrets(process.env),
    // With whatever it has started.
    detached: true,
  });
  const kill = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has just ended by itself.
    }
  };
  signal.addEventListener('abort', kill);
  try {
    const words = await new Promise<string | undefined>((resolve) => {
      child.once('error', (error) => {
        resolve(`could not be run: ${messageOf(error)}`);
      });
      child.once('exit', (code, killedBy) => {
        if (code === 0) resolve(undefined);
        else
          resolve(
            code === null ? `was ended by ${String(killedBy)}` : `ended with ${String(code)}`,
          );
      });
    });
    if (signal.aborted) throw new ImportError('--on-cutover took too long, and was ended');
    if (words !== undefined) throw new ImportError(`--on-cutover ${words}`);
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

function withoutSecrets(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^CLUSTER_IMPORT_.*PASSWORD$/.test(name)),
  );
}
