/** A server that this process follows, as the cutover sees it. */
import { unlessAborted } from '../async.js';
import { ImportError, messageOf } from '../errors.js';
import type { Feed } from '../feed/feed.js';
import { keysOfDatabase } from '../redis/server.js';
import { createFence, type Fence } from './fence.js';
import type { FollowedDatabase } from './followed-database.js';
import type { FollowedServer } from './followed-server.js';
import type {
  LateWrites,
  Participant,
  ParticipantState,
  Standstill,
  Unmoved,
} from './participant.js';
import { SourceLine } from './source-line.js';
import { sum } from './sum.js';

/** How long rounds go on before writes are held, so that little is left for the hold. */
const quickRounds = 3;

/** What is of one attempt to cut over. */
interface Attempt {
  readonly held: HeldServer;
  readonly abort: AbortController;
  /** Writes may be held. */
  isHeld: boolean;
  isShut: boolean;
  /** When all keys were asked for last, where nobody tells of changes. */
  comparedMs: number | undefined;
  isSecond: boolean;
  stillSinceMs: number;
  gaps: number;
  /** Writes are being let go, or have been. */
  releasing: Promise<string | null> | undefined;
}

export class LocalParticipant implements Participant {
  readonly #server: FollowedServer;
  readonly #liftLimits: (isLifted: boolean) => void;
  #attempt: Attempt | undefined;

  /** @param liftLimits lets the run go at full speed, or no more. */
  constructor(server: FollowedServer, liftLimits: (isLifted: boolean) => void) {
    this.#server = server;
    this.#liftLimits = liftLimits;
  }

  get address(): string {
    return this.#server.address;
  }

  get state(): ParticipantState {
    const { databases, feeds, feedName, fence } = this.#server;
    const nowMs = performance.now();
    const waits = databases.map(({ changed }) =>
      changed.sinceMs === undefined ? 0 : nowMs - changed.sinceMs,
    );
    const silences = feeds.map((feed) => (feed.isUp ? 0 : Date.now() - feed.heardAtMs));
    const waiting = this.#waiting;
    return {
      isCopied: databases.every(({ source }) => source.isCopied),
      feed: String(feedName),
      fence: fence.name,
      changes: sum(databases.map(({ changed }) => changed.heard)),
      gaps: this.#gaps,
      waiting: waiting === Infinity ? null : waiting,
      lagMs: Math.max(0, ...waits, ...silences),
    };
  }

  /** Writes are held, and nobody has handed over yet. */
  get isHeld(): boolean {
    return this.#attempt?.isHeld === true && !this.#attempt.isShut;
  }

  /**
   * Whoever decides is silent, and may have handed over or given up. So writes go on where they were only held, and
   * nothing is copied that was told to rest: clients may write to the cluster by now.
   */
  standAlone(): void {
    const attempt = this.#attempt;
    if (!attempt) return;
    if (attempt.isShut) attempt.held.fence.lapse();
    else if (attempt.isHeld) void this.#release(attempt);
  }

  onLost(): void {
    // Whoever decides is lost with it.
  }

  hurry(isHurried: boolean): void {
    this.#liftLimits(isHurried);
    for (const { source } of this.#server.databases) source.hurry(isHurried);
  }

  async prepare(): Promise<void> {
    this.#close();
    this.#attempt = {
      held: new HeldServer(this.#server),
      abort: new AbortController(),
      isHeld: false,
      isShut: false,
      comparedMs: undefined,
      isSecond: false,
      stillSinceMs: 0,
      gaps: 0,
      releasing: undefined,
    };
    await this.#step(async ({ held }, signal) => {
      // What has to be looked for takes its time while writes go on.
      await held.caughtUp(signal);
      for (let round = 0; round < quickRounds; round++) await this.#nextRound(signal);
    });
  }

  async approach(): Promise<void> {
    if (!this.#server.fence.holdsAll) return;
    await this.#step(async ({ held }, signal) => {
      await this.#freeze(signal);
      await unlessAborted(held.enterBySideDoor(), signal);
      this.goOn();
    });
  }

  async hold(): Promise<void> {
    await this.#step(async (attempt, signal) => {
      attempt.isHeld = true;
      await unlessAborted(attempt.held.fence.hold(), signal);
    });
  }

  async copyTheRest(): Promise<Unmoved | null> {
    const { databases, feedName } = this.#server;
    return this.#step(async (attempt, signal) => {
      const { held, comparedMs } = attempt;
      // What their clients' writes have kept from being read stands still now.
      if (!attempt.isSecond) for (const { unmoved } of databases) unmoved.tryNow();
      attempt.isSecond = true;
      const isCompared = comparedMs !== undefined && held.fence.hasHeldSince(comparedMs);
      if (feedName === 'none' && !isCompared) {
        attempt.comparedMs = performance.now();
        for (const { changed } of databases) {
          changed.noteEverything('nobody has told of what was changed');
        }
      }
      await held.caughtUp(signal);
      await this.#nextRound(signal);
      return this.#unmoved;
    });
  }

  async settle(): Promise<boolean> {
    return this.#step(async (attempt, signal) => {
      // A write may have slipped through a fence that refuses, or that was out of force for a moment.
      attempt.stillSinceMs = performance.now();
      await attempt.held.caughtUp(signal);
      // Whoever writes in the cluster from now on must not be undone by what expires at a source.
      await this.#freeze(signal);
      return this.#isDone;
    });
  }

  async look(): Promise<Standstill> {
    return this.#step(async (attempt, signal) => {
      const { held, stillSinceMs } = attempt;
      const keys = await unlessAborted(held.countKeys(), signal);
      attempt.gaps = this.#gaps;
      return { isStill: this.#isDone && held.fence.hasHeldSince(stillSinceMs), keys };
    });
  }

  goOn(): void {
    for (const { source } of this.#server.databases) source.thaw();
  }

  async letGo(): Promise<string | null> {
    const attempt = this.#attempt;
    const trouble = attempt ? await this.#release(attempt) : null;
    this.#close();
    if (attempt && this.#server.fence.holdsAll) this.#server.leaveSideDoor();
    this.goOn();
    this.hurry(false);
    return trouble;
  }

  async shut(): Promise<number | null> {
    return this.#step(async (attempt) => {
      attempt.isShut = true;
      return (await attempt.held.fence.shut()) ?? null;
    });
  }

  async unpause(): Promise<void> {
    await this.#step(({ held }) => held.fence.unpause());
  }

  async lateWrites(): Promise<LateWrites> {
    return this.#step(async ({ held, gaps }) => {
      let keys = 0;
      let unknown: string | null = null;
      for (const database of this.#server.databases) {
        const { names, everything } = database.changed.take();
        const late = [...names.keys()];
        keys += await held.countThere(database, late).catch(() => late.length);
        unknown ??= everything ?? null;
      }
      // A feed that was lost meanwhile, and can't go on, has heard of none.
      return { keys, unknown: this.#gaps === gaps ? unknown : null };
    });
  }

  end(): void {
    this.#close();
    for (const { source } of this.#server.databases) source.end();
  }

  get #gaps(): number {
    return sum(this.#server.feeds.map(({ gaps }) => gaps));
  }

  /** Keys that wait, or are on their way to another source's; Infinity: all of a database. */
  get #waiting(): number {
    return sum(this.#server.databases.map(({ changed, passing }) => changed.count + passing));
  }

  get #isDone(): boolean {
    return this.#waiting === 0 && this.#unmoved === null;
  }

  get #unmoved(): Unmoved | null {
    const all = this.#server.databases.map(({ unmoved }) => unmoved);
    const first = all.find((unmoved) => unmoved.first !== undefined)?.first;
    return first ? { count: sum(all.map(({ count }) => count)), message: first.message } : null;
  }

  /** Ends an attempt, and lets writes go on. @returns why the server could not be told so; null: it was. */
  #release(attempt: Attempt): Promise<string | null> {
    attempt.abort.abort(new ImportError('the cutover was given up'));
    return (attempt.releasing ??= this.#letWrite(attempt));
  }

  async #letWrite(attempt: Attempt): Promise<string | null> {
    if (!attempt.isHeld) return null;
    const { fence } = attempt.held;
    try {
      await fence.release();
      return null;
    } catch (error) {
      attempt.releasing = undefined;
      const way =
        fence.name === 'pause'
          ? 'they go on within 3 s'
          : 'set its min-replicas-to-write back by hand';
      return `(${messageOf(error)}): ${way}`;
    }
  }

  #close(): void {
    this.#attempt?.held.close();
    this.#attempt = undefined;
  }

  /** @throws ImportError where no attempt is under way. */
  async #step<T>(work: (attempt: Attempt, signal: AbortSignal) => Promise<T>): Promise<T> {
    const attempt = this.#attempt;
    if (!attempt || attempt.abort.signal.aborted) {
      throw new ImportError(`writes to ${this.address} have been let go`);
    }
    return work(attempt, attempt.abort.signal);
  }

  async #nextRound(signal: AbortSignal): Promise<void> {
    const rounds = this.#server.databases.map(({ source }) => source.nextRound());
    await unlessAborted(Promise.all(rounds), signal);
  }

  async #freeze(signal: AbortSignal): Promise<void> {
    const frozen = this.#server.databases.map(({ source }) => source.freeze());
    await unlessAborted(Promise.all(frozen), signal);
  }
}

/* What a cutover does at one server: its writes are held and let go over connections of its own. */

/** Of what came late, no more are looked for. */
const mostLateKeys = 1000;

class HeldServer {
  readonly server: FollowedServer;
  readonly fence: Fence;
  readonly #lines = new Map<number, SourceLine>();

  constructor(server: FollowedServer) {
    this.server = server;
    this.fence = createFence(server.fence, this.#line());
  }

  /**
   * Resolves once every change has been reported that the server had carried out when this was called.
   * @throws the signal's reason; SourceError when the feed has given up.
   */
  async caughtUp(signal: AbortSignal): Promise<void> {
    await Promise.all(
      this.server.feeds.map((feed: Feed, index) => {
        const line = this.#line(this.server.databases[index]?.db);
        return feed.caughtUp((work) => line.use(work), signal);
      }),
    );
  }

  /** How many keys the followed databases have. */
  async countKeys(): Promise<number> {
    const keyspace = await this.#line().use((control) => control.info('keyspace'));
    return this.server.databases.reduce((sum, { db }) => sum + keysOfDatabase(keyspace, db), 0);
  }

  /**
   * How many of these keys the database has. Those that it has not have expired, which they do in the cluster as
   * well.
   * @param names in latin1; the first thousand are looked for.
   */
  async countThere({ db }: FollowedDatabase, names: readonly string[]): Promise<number> {
    const keys = names.slice(0, mostLateKeys).map((name) => Buffer.from(name, 'latin1'));
    if (keys.length === 0) return 0;
    const there = await this.#line(db).use((control) =>
      Promise.all(keys.map((key) => control.call('EXISTS', key))),
    );
    return there.filter((count) => count === 1).length;
  }

  /** All of its clients are about to be held: from now on it is asked by the side door. */
  async enterBySideDoor(): Promise<void> {
    await this.server.enterBySideDoor();
    for (const line of this.#lines.values()) line.renew();
  }

  close(): void {
    for (const line of this.#lines.values()) line.close();
  }

  #line(db = this.server.databases[0]?.db ?? 0): SourceLine {
    let line = this.#lines.get(db);
    if (!line) {
      line = new SourceLine(() => this.server.openControl(db));
      this.#lines.set(db, line);
    }
    return line;
  }
}
