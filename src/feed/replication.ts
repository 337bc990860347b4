/**
 * Hears of a source's changes as its replicas do: over the replication link, without the full copy that a
 * replica begins with.
 *
 * A feed joins at the end of the source's stream. When the link is lost it goes on behind the last whole
 * command, from the source's backlog; where that no longer reaches back so far, what was missed is a gap: it
 * joins anew, and everything may have changed.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { unlessAborted } from '../async.js';
import {
  ConnectionError,
  errorOf,
  ImportError,
  messageOf,
  PreflightError,
  RefusedError,
  SourceError,
} from '../errors.js';
import { placesByCommand } from '../redis/command-keys.js';
import { type Control, locate } from '../redis/control.js';
import { addressOf } from '../redis/endpoint.js';
import { makeBacklog, openReplicaLink, type ReplicaLink } from './replica-link.js';
import { Changes, type FrameWords, StreamReader } from './changes.js';
import { type AskSource, type Feed, FeedLife, type FeedOptions, opened } from './feed.js';
import type { FeedPosition } from '../types.js';
import {
  ask,
  canGoOn,
  connectToSource,
  readStreamState,
  type SourceConnection,
  type StreamState,
} from './source-commands.js';

export interface ReplicationFeedOptions extends FeedOptions {
  /** Readies the source, each time before it is joined: what was set there is forgotten when it is started again. */
  readonly prepare?: () => Promise<void>;
  /** What PSYNC is called at the source: services rename it. */
  readonly psyncName?: string;
  /**
   * Go on there if the source still can; otherwise `everything(undefined, …)` is reported once, after
   * joining, and counts as a gap.
   */
  readonly resumeAt?: FeedPosition | undefined;
}

/**
 * Joins, and resolves once every change from now on will be reported. The listener may hear of some before.
 * @throws PreflightError in one sentence that names the server, what it refused, and the way out.
 */
export function openReplicationFeed(options: ReplicationFeedOptions): Promise<ReplicationFeed> {
  return opened(new ReplicationFeed(options));
}

const ackEveryMs = 1000;
/** The source says PING every repl-ping-replica-period, which is 10 s by default. */
const shortestSilenceMs = 60_000;
/** How often it is joined anew when the backlog is overrun at that very moment. */
const joinTries = 3;
/** A link that was up no longer than this is not opened again at once. */
const shortLifeMs = 1000;
const unknownDb = -1;
/** From 4.0 on a replica calls its master's history as that does. Before, each server has a name of its own. */
const sharedNamesSince = 40_000;
/** Above all that a channel is called in life; users may be given the right to `&cluster-import:*`. */
const channelPrefix = 'cluster-import:feed:';

/** The part of a stream that came, or is to come, over one link. */
interface Stream {
  readonly replicationId: string;
  /** It comes from a replica that calls the history by a name of its own. */
  readonly isOfOldReplica: boolean;
  readonly reader: StreamReader;
  readonly changes: Changes;
}

interface Waiter {
  readonly offset: number;
  /** The history that it is of; undefined: the present one. */
  replicationId: string | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class ReplicationFeed implements Feed {
  readonly kind = 'replication';
  gaps = 0;
  readonly #life: FeedLife;
  #stream: Stream | undefined;
  #link: ReplicaLink | undefined;
  #linkedAtMs = 0;
  #waiters: Waiter[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #silentTicksAllowed: number;
  #silentTicks = 0;

  constructor(readonly options: ReplicationFeedOptions) {
    this.#life = new FeedLife(options, (error) => {
      clearInterval(this.#timer);
      this.#link?.close();
      this.#rejectWaiters(error);
    });
    const silenceMs = Math.max(shortestSilenceMs, 3 * options.timeoutMs);
    this.#silentTicksAllowed = Math.ceil(silenceMs / ackEveryMs);
    this.#timer = setInterval(() => {
      this.#tick();
    }, ackEveryMs);
    this.#timer.unref();
  }

  get ended(): Promise<void> {
    return this.#life.ended;
  }

  /** Up to this offset of the source's stream every change has been reported to the listener. */
  get offset(): number {
    return this.#stream?.reader.offset ?? this.options.resumeAt?.offset ?? 0;
  }

  get position(): FeedPosition {
    return {
      replicationId: this.#stream?.replicationId ?? '',
      offset: this.offset,
      db: this.#stream?.changes.db ?? unknownDb,
    };
  }

  get heardAtMs(): number {
    return this.#stream?.reader.heardAtMs ?? 0;
  }

  get isUp(): boolean {
    return this.#link !== undefined && !this.#link.connection.lost;
  }

  /** Joins for the first time. To be called once. */
  async open(): Promise<void> {
    await this.#join(this.options.resumeAt);
  }

  async caughtUp(askSource: AskSource, signal: AbortSignal): Promise<void> {
    const { offset, replicationId } = await unlessAborted(askSource(readEnd), signal);
    await this.reached(offset, signal, replicationId);
  }

  /**
   * Resolves when `offset` is at or past this. Rejects with the signal's reason, or with SourceError when
   * the feed has given up, or when the source has begun a new history, in which the offset means nothing.
   * @param replicationId the history that the offset is of: the source may have begun it, as by a restart, before
   *   we have heard that the link is lost. Undefined: the present one.
   */
  async reached(offset: number, signal: AbortSignal, replicationId?: string): Promise<void> {
    await this.#passed(offset, signal, replicationId);
    if (this.#stream?.changes.db === undefined) await this.#lookForDbs();
  }

  #passed(offset: number, signal: AbortSignal, of: string | undefined): Promise<void> {
    // Before 4.0 a replica has a history of its own, of which its master tells nothing.
    const replicationId = this.#stream?.isOfOldReplica === true ? undefined : of;
    return new Promise((resolve, reject) => {
      const fail = (): void => {
        this.#waiters = this.#waiters.filter((waiting) => waiting !== waiter);
        reject(errorOf(signal.reason));
      };
      const waiter: Waiter = {
        ...{ offset, replicationId },
        resolve: () => {
          signal.removeEventListener('abort', fail);
          resolve();
        },
        reject: (error) => {
          signal.removeEventListener('abort', fail);
          reject(errorOf(error));
        },
      };
      if (signal.aborted) fail();
      else if (this.#life.error) reject(this.#life.error);
      else if (this.#hasPassed(waiter)) resolve();
      else {
        signal.addEventListener('abort', fail);
        this.#waiters.push(waiter);
      }
    });
  }

  close(): void {
    this.#life.close();
  }

  #hasPassed({ offset, replicationId }: Pick<Waiter, 'offset' | 'replicationId'>): boolean {
    const isOurs = replicationId === undefined || replicationId === this.#stream?.replicationId;
    return isOurs && this.offset >= offset;
  }

  #rejectWaiters(error: SourceError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }

  #tick(): void {
    if (!this.#link || this.#link.connection.lost) return;
    this.#link.acknowledge();
    if (this.#stream?.changes.db === undefined) {
      // `reached` looks again, and says if it can't.
      this.#lookForDbs().catch(() => undefined);
    }
    // Counted in ticks, not by the clock: what comes while this process stands still waits in the socket.
    if (++this.#silentTicks <= this.#silentTicksAllowed) return;
    this.options.logger.warn({}, 'the source sent nothing over the replication link for too long');
    this.#link.close();
  }

  /**
   * While the stream has named no database: looks for those that have come to have keys since it was joined,
   * to which changes may belong that were reported in others only.
   */
  async #lookForDbs(): Promise<void> {
    const { endpoint, listener, timeoutMs } = this.options;
    let usedDbs: readonly number[];
    try {
      const source = await connectToSource(await locate(endpoint, timeoutMs), timeoutMs);
      try {
        ({ usedDbs } = await readStreamState(source));
      } finally {
        source.connection.close();
      }
    } catch (error) {
      throw new SourceError(`the databases could not be looked at: ${messageOf(error)}`, {
        cause: error,
      });
    }
    const changes = this.#stream?.changes;
    if (!changes) return;
    const { possibleDbs } = changes;
    const fresh = usedDbs.filter((db) => !possibleDbs.includes(db));
    if (changes.db === undefined) changes.guessFrom([...possibleDbs, ...fresh]);
    for (const db of fresh) {
      listener.everything(
        db,
        'it has keys now, and the source did not say where it made its changes',
      );
    }
  }

  /** After each chunk of bytes. */
  #heard(reader: StreamReader): void {
    if (reader !== this.#stream?.reader) return;
    this.#silentTicks = 0;
    if (this.#waiters.length === 0) return;
    const reached = this.#waiters.filter((waiter) => this.#hasPassed(waiter));
    if (reached.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !reached.includes(waiter));
    for (const waiter of reached) waiter.resolve();
  }

  /** A listener must not throw; if one does, the feed ends, for what it was given may be lost. */
  #take(changes: Changes, words: FrameWords): void {
    try {
      changes.take(words);
    } catch (error) {
      const message = `a change could not be taken note of: ${messageOf(error)}`;
      this.#life.giveUp(new SourceError(message, { cause: error }));
      throw error;
    }
  }

  /**
   * Opens a link, and goes on at this position or joins anew.
   * @throws ImportError when that failed: it may be tried again, but for PreflightError.
   */
  async #join(position: FeedPosition | undefined): Promise<void> {
    const { endpoint, timeoutMs } = this.options;
    await this.options.prepare?.();
    const source = await connectToSource(await locate(endpoint, timeoutMs), timeoutMs);
    let link: ReplicaLink | undefined;
    try {
      const placesOf = await readPlaces(source);
      if (position) link = await this.#goOnAt(position, source, placesOf);
      if (!link) {
        link = await this.#joinAnew(source, placesOf);
        if (position) this.#reportGap(position);
      }
      this.#life.signal.throwIfAborted();
      this.#link = link;
      this.#linkedAtMs = performance.now();
      this.#silentTicks = 0;
      link.acknowledge();
      if (this.#stream) this.#heard(this.#stream.reader);
    } catch (error) {
      link?.close();
      throw error;
    } finally {
      source.connection.close();
    }
    link.connection.onLost((error) => {
      void this.#rejoin(error);
    });
  }

  #streamAt(
    { replicationId, offset }: Pick<FeedPosition, 'replicationId' | 'offset'>,
    { isReplica, versionNumber }: Pick<StreamState, 'isReplica' | 'versionNumber'>,
    changes: Changes,
  ): Stream {
    const reader: StreamReader = new StreamReader(
      offset,
      (words) => {
        this.#take(changes, words);
      },
      () => {
        this.#heard(reader);
      },
    );
    const isOfOldReplica = isReplica && versionNumber < sharedNamesSince;
    return { replicationId, isOfOldReplica, reader, changes };
  }

  /** @returns undefined where the source no longer has what comes next. */
  async #goOnAt(
    position: FeedPosition,
    source: SourceConnection,
    placesOf: PlacesOf,
  ): Promise<ReplicaLink | undefined> {
    const link = await openReplicaLink(source.endpoint, source.timeoutMs);
    try {
      const state = await readSettledState(source);
      if (!canGoOn(state, position.replicationId, position.offset)) {
        link.close();
        return undefined;
      }
      const changes = new Changes(this.options.listener, placesOf, knownDb(position, state));
      changes.guessFrom(state.usedDbs);
      const stream = this.#streamAt(position, state, changes);
      this.#stream = stream;
      const next = position.offset + 1;
      const answer = await link.goOn(this.#psyncName, position.replicationId, next, stream.reader);
      if (!answer.goesOn) return undefined;
      const replicationId = answer.replicationId ?? position.replicationId;
      this.#stream = { ...stream, replicationId };
      // The same history goes on under another name.
      for (const waiter of this.#waiters) {
        if (waiter.replicationId === position.replicationId) waiter.replicationId = replicationId;
      }
      return link;
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /** Joins at the end of the source's stream. */
  async #joinAnew(source: SourceConnection, placesOf: PlacesOf): Promise<ReplicaLink> {
    const address = addressOf(source.endpoint);
    for (let tries = 0; tries < joinTries; tries++) {
      let state = await readSettledState(source);
      if (!state.backlog) await makeBacklog(source, state, this.#psyncName);
      const link = await openReplicaLink(source.endpoint, source.timeoutMs);
      try {
        // As late as can be: a small backlog is soon overrun.
        state = await readSettledState(source);
        const changes = new Changes(
          this.options.listener,
          placesOf,
          state.hasOneDb ? 0 : undefined,
        );
        const stream = this.#streamAt(state, state, changes);
        const sign = randomBytes(16).toString('hex');
        const seen = new Promise<void>((resolve) => {
          changes.reportFrom(sign, 0, resolve);
        });
        const answer = await link.goOn(
          this.#psyncName,
          state.replicationId,
          state.offset + 1,
          stream.reader,
        );
        if (!answer.goesOn) continue;
        const knowsDb = !state.hasOneDb && (await this.#showSign(source, state, link, sign, seen));
        if (!knowsDb) changes.guessFrom(state.usedDbs);
        this.#stream = {
          ...stream,
          replicationId: answer.replicationId ?? state.replicationId,
        };
        return link;
      } catch (error) {
        link.close();
        throw error;
      }
    }
    throw new PreflightError(
      `${address} could not go on from where its stream of changes was a moment ago: set repl-backlog-size there to more than it writes in a second, say 64mb.`,
    );
  }

  /**
   * Publishes the sign at the source, and waits until it comes along in the stream.
   * @returns whether it did: a replica does not pass on what is published there, nor does everyone have
   *   the right.
   */
  async #showSign(
    source: SourceConnection,
    state: StreamState,
    link: ReplicaLink,
    sign: string,
    seen: Promise<void>,
  ): Promise<boolean> {
    if (state.isReplica) return false;
    const { logger, timeoutMs } = this.options;
    try {
      await ask(source, 'PUBLISH', `${channelPrefix}${sign.slice(0, 8)}`, sign);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      logger.warn(
        { reason: error.message },
        'the source does not let us publish: until its stream names a database, each changed key counts as changed in all of them',
      );
      return false;
    }
    const tooLate = new AbortController();
    const lost = new Promise<never>((_, reject) => {
      link.connection.onLost(reject);
    });
    const waited = sleep(timeoutMs, false, { signal: tooLate.signal }).catch(() => false);
    try {
      return await Promise.race([seen.then(() => true), lost, waited]);
    } finally {
      tooLate.abort();
    }
  }

  #reportGap(missedFrom: FeedPosition): void {
    const { listener, logger } = this.options;
    const why = 'the link to the source was lost, and it no longer has what was missed';
    this.gaps++;
    logger.warn({ position: missedFrom, now: this.position }, why);
    listener.everything(undefined, why);
    if (this.#stream?.replicationId === missedFrom.replicationId) return;
    // Their offsets are of a history that has ended.
    this.#rejectWaiters(
      new SourceError('the source began a new history while its changes were waited for'),
    );
  }

  async #rejoin(lost: Error): Promise<void> {
    if (this.#life.error) return;
    const { logger } = this.options;
    logger.warn(
      { reason: lost.message },
      'the replication link to the source was lost: opening it again',
    );
    if (performance.now() - this.#linkedAtMs < shortLifeMs) {
      const { signal } = this.#life;
      await sleep(shortLifeMs / 5, undefined, { signal }).catch(() => undefined);
    }
    if (!(await this.#life.again(() => this.#join(this.position)))) return;
    logger.info({ position: this.position }, 'the replication link to the source is up again');
  }

  get #psyncName(): string {
    return this.options.psyncName ?? 'PSYNC';
  }
}

/** The end of what the source has carried out, and of which history. */
async function readEnd(control: Control): Promise<Pick<FeedPosition, 'offset' | 'replicationId'>> {
  const info = await control.info('replication');
  const offset = Number(info.get('master_repl_offset'));
  const replicationId =
    info.get('master_replid') ?? (await control.info('server')).get('run_id') ?? '';
  if (Number.isSafeInteger(offset)) return { offset, replicationId };
  throw new ImportError(`${control.address} did not tell its replication offset`);
}

type PlacesOf = ReturnType<typeof placesByCommand>;

/** Where the keys of the source's commands stand, modules' too. */
async function readPlaces(source: SourceConnection): Promise<PlacesOf> {
  try {
    return placesByCommand(await ask(source, 'COMMAND'));
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return placesByCommand(null);
  }
}

/**
 * @throws ConnectionError while the source is reading its data, RefusedError, and PreflightError where it
 *   does not tell of its stream.
 */
async function readSettledState(source: SourceConnection): Promise<StreamState> {
  const state = await readStreamState(source);
  const address = addressOf(source.endpoint);
  if (state.isLoading) throw new ConnectionError(`${address} is still loading its data`);
  if (state.replicationId === '' || Number.isNaN(state.offset)) {
    throw new PreflightError(
      `INFO of ${address} does not tell where its stream of changes is (master_replid, master_repl_offset): its changes can't be followed.`,
    );
  }
  return state;
}

function knownDb({ db }: FeedPosition, state: StreamState): number | undefined {
  if (db !== unknownDb) return db;
  return state.hasOneDb ? 0 : undefined;
}
