/**
 * One server that is followed, with its databases: by which feed its changes are heard, where and how its writes can
 * be held, and by which way it is read meanwhile.
 *
 * A replica is heard and read in its master's place: writes are held at the master, to which its clients write.
 */
import { messageOf, PreflightError, RefusedError } from '../errors.js';
import type { Feed } from '../feed/feed.js';
import { NoFeed, openFeed } from '../feed/open-feed.js';
import { effectsOnlySince, passOnEffects, type ScriptEffects } from '../feed/script-effects.js';
import type { FollowOptions, PatienceOptions } from '../options/options.js';
import { type Control, locate, openControl } from '../redis/control.js';
import { addressOf, type Endpoint } from '../redis/endpoint.js';
import { masterOf } from '../redis/server.js';
import type { FeedName, FeedPosition, Logger } from '../types.js';
import {
  canPause,
  fenceFor,
  leftBefore,
  letWrite,
  mayRefuseWrites,
  type SourceFence,
} from './fence.js';
import type { FollowedDatabase } from './followed-database.js';
import { hasTakenOver } from './half-done.js';
import { openSideDoor, type SideDoor } from './side-door.js';

/** What is known of a server before it is followed. */
export interface ServerToFollow {
  /** Of any of its databases. */
  readonly endpoint: Endpoint;
  readonly version: string;
  readonly versionNumber: number;
  readonly isReplica: boolean;
}

export interface FollowedServerOptions {
  readonly server: ServerToFollow;
  readonly options: FollowOptions & PatienceOptions;
  /** Whether an earlier run of the job has copied keys. */
  readonly goesOn: boolean;
  /** Another process of this run has followed it: where the source refuses writes, that is of a cutover given up. */
  readonly isTakenUp: boolean;
  /** Of a feed that hears of nothing: whether all keys may be copied again now. */
  mayLook(): boolean;
  readonly logger: Logger;
  readonly warn: (sentence: string) => void;
}

export class FollowedServer {
  readonly #given: FollowedServerOptions;
  readonly #databases = new Map<number, FollowedDatabase>();
  #feeds: readonly Feed[] = [];
  #fence: SourceFence | undefined;
  #door: SideDoor | undefined;
  #scripts: ScriptEffects['putBack'];
  #isWarnedOfScripts = false;

  constructor(given: FollowedServerOptions) {
    this.#given = given;
  }

  add(database: FollowedDatabase): void {
    this.#databases.set(database.db, database);
  }

  get databases(): readonly FollowedDatabase[] {
    return [...this.#databases.values()];
  }

  get address(): string {
    return addressOf(this.#given.server.endpoint);
  }

  /** One for all databases, or one for each; none before `join`. */
  get feeds(): readonly Feed[] {
    return this.#feeds;
  }

  /** Undefined before `join`. */
  get feedName(): FeedName | undefined {
    return this.#feeds[0]?.kind;
  }

  /** Where the feed is now; undefined: no start can go on there. */
  get position(): FeedPosition | undefined {
    return this.#feeds.length === 1 ? this.#feeds[0]?.position : undefined;
  }

  /** How its writes are held. To be asked for after `join`. */
  get fence(): SourceFence {
    if (!this.#fence) throw new Error(`${this.address} has not been joined`);
    return this.#fence;
  }

  /** By which it is read where it holds all of its clients; undefined: it holds none. */
  get sideDoor(): Endpoint | undefined {
    return this.#door?.endpoint;
  }

  /**
   * Joins the feed: from then on no change is missed.
   * @param resumeAt where an earlier run had come to.
   * @param lost is called when the feed can't go on.
   * @returns whether what has changed since then is heard of.
   * @throws PreflightError in one sentence; nothing was moved then.
   */
  async join(resumeAt: FeedPosition | undefined, lost: (error: Error) => void): Promise<boolean> {
    const fence = await this.#openFence();
    try {
      this.#feeds = await this.#openFeeds(resumeAt);
      this.#fence = this.#besides(fence);
    } catch (error) {
      await this.putBackScripts();
      throw error;
    }
    for (const feed of this.#feeds) feed.ended.catch(lost);
    return resumeAt !== undefined && this.position !== undefined;
  }

  /** All keys of a database have been copied, which took so long. */
  passEnded(tookMs: number): void {
    for (const feed of this.#feeds) if (feed instanceof NoFeed) feed.passEnded(tookMs);
  }

  /**
   * From then on the server is read by another way, which none of its clients takes.
   * To be called while nothing is under way.
   */
  async enterBySideDoor(): Promise<void> {
    const { server, options } = this.#given;
    this.#door = await openSideDoor(server.endpoint, options.timeoutMs);
    for (const database of this.databases) database.renewSource();
  }

  leaveSideDoor(): void {
    const door = this.#door;
    this.#door = undefined;
    for (const database of this.databases) database.renewSource();
    door?.close();
  }

  /** Connects to where its writes are held. @throws ConnectionError, RefusedError */
  async openControl(db: number): Promise<Control> {
    return this.#openControl(this.sideDoor, db);
  }

  async putBackScripts(): Promise<void> {
    const words = this.#scripts;
    if (!words) return;
    this.#scripts = undefined;
    try {
      await this.#withControl((control) => control.call(...words));
    } catch (error) {
      this.#given.warn(
        `The source could not be told ${words.join(' ')}, as it was before: ${messageOf(error)}`,
      );
    }
  }

  close(): void {
    for (const feed of this.#feeds) feed.close();
    this.#door?.close();
  }

  /** Replication tells of all databases, the other feeds of one each. */
  async #openFeeds(resumeAt: FeedPosition | undefined): Promise<readonly Feed[]> {
    const [first, ...others] = this.databases as [FollowedDatabase, ...FollowedDatabase[]];
    const feed = await this.#openFeed(first, this.#given.options.feed, resumeAt);
    if (feed.kind === 'replication') return [feed];
    const feeds = [feed];
    try {
      for (const database of others) {
        feeds.push(await this.#openFeed(database, feed.kind, undefined));
      }
    } catch (error) {
      for (const open of feeds) open.close();
      throw error;
    }
    return feeds;
  }

  #openFeed(
    { db }: FollowedDatabase,
    name: FeedName | 'auto',
    resumeAt: FeedPosition | undefined,
  ): Promise<Feed> {
    const { server, options, logger } = this.#given;
    return openFeed({
      name,
      endpoint: { ...server.endpoint, db },
      listener: {
        changed: (of, key) => this.#databases.get(of)?.changed.note(key),
        everything: (of, why) => {
          for (const database of this.databases) {
            if (of !== undefined && of !== database.db) continue;
            logger.info({ why, source: database.name }, 'all keys are compared again');
            database.changed.noteEverything(why);
          }
        },
      },
      logger,
      timeoutMs: options.timeoutMs,
      retryForMs: options.retryForMs,
      resumeAt,
      prepare: () => this.#passOnEffects(),
      mayLook: () => this.#given.mayLook(),
      warn: this.#given.warn,
    });
  }

  /** Finds out how writes can be held, while nothing has been copied. */
  async #openFence(): Promise<SourceFence> {
    const { goesOn, isTakenUp, warn } = this.#given;
    return this.#withControl(async (control) => {
      const left = await leftBefore(control);
      // After a cutover clients of the cluster have written there since: what the source has is old.
      if (left && !isTakenUp && (left.state === 'shut' || !goesOn)) {
        throw hasTakenOver({ address: control.address, replicas: left.replicas });
      }
      if (left) {
        await letWrite(control, left);
        warn(`${control.address} refused writes, as the earlier run had left it: they go on.`);
      }
      if (!(await mayRefuseWrites(control))) {
        warn(
          `${control.address} does not let us make it refuse writes after the cutover (CONFIG SET min-replicas-to-write): its clients have to be kept off.`,
        );
      }
      return this.#chooseFence();
    });
  }

  async #passOnEffects(): Promise<void> {
    const { server, warn } = this.#given;
    if (server.versionNumber >= effectsOnlySince) return;
    await this.#withControl(async (control) => {
      const { putBack, why } = await passOnEffects(control, server);
      this.#scripts ??= putBack;
      if (why === undefined || this.#isWarnedOfScripts) return;
      this.#isWarnedOfScripts = true;
      warn(
        `${control.address} passes scripts on as they were called (${why}), and which keys they write to is not known: each one makes all keys be compared again. Let none run when the cutover is to come.`,
      );
    });
  }

  async #chooseFence(): Promise<SourceFence> {
    const { server, options } = this.#given;
    const fence = fenceFor(options.fence, server.versionNumber);
    if (!fence.holdsAll) return fence;
    if (!canPause(server.versionNumber)) {
      throw new PreflightError(
        `Redis ${server.version} can't hold writes: CLIENT PAUSE came with 3.0. Pass --fence refuse.`,
      );
    }
    if (server.isReplica) {
      return this.#refuseInstead(
        'Before 6.2 a master that holds writes holds all of its clients, its replicas among them',
        'pass --fence refuse, or give the master in --from',
      );
    }
    const door = await openSideDoor(server.endpoint, options.timeoutMs);
    try {
      (await this.#openControl(door.endpoint)).close();
      return fence;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return this.#refuseInstead(
        `Before 6.2 a source that holds writes holds all of its clients but those that have asked for MONITOR, which it refuses (${error.reply})`,
        'allow it, or pass another --fence',
      );
    } finally {
      door.close();
    }
  }

  /** Who hears of changes as a client does is held with all of them. */
  #besides(fence: SourceFence): SourceFence {
    const { feedName } = this;
    if (!fence.holdsAll || feedName === 'replication' || feedName === 'none') return fence;
    return this.#refuseInstead(
      `Before 6.2 a source that holds writes holds all clients, --feed ${String(feedName)} among them`,
      'pass --fence refuse',
    );
  }

  /** @throws PreflightError where a pause was asked for. */
  #refuseInstead(why: string, wayOut: string): SourceFence {
    const { server, options, warn } = this.#given;
    if (options.fence === 'pause') throw new PreflightError(`${why}: ${wayOut}.`);
    warn(`${why}: writes are refused at the cutover instead, and scripts are not up to 5.0.`);
    return fenceFor('refuse', server.versionNumber);
  }

  async #withControl<T>(work: (control: Control) => Promise<T>): Promise<T> {
    const control = await this.#openControl();
    try {
      return await work(control);
    } finally {
      control.close();
    }
  }

  async #openControl(door?: Endpoint, db = this.#given.server.endpoint.db): Promise<Control> {
    const { server, options } = this.#given;
    return openWriteControl(server, options.timeoutMs, door, db);
  }
}

/**
 * Connects to where a server's writes are held: to its master, where it is a replica.
 * @param door by which it is reached instead.
 * @throws ConnectionError, RefusedError
 */
export async function openWriteControl(
  { endpoint, isReplica }: Pick<ServerToFollow, 'endpoint' | 'isReplica'>,
  timeoutMs: number,
  door?: Endpoint,
  db = endpoint.db,
): Promise<Control> {
  const place = door ?? (await locate(endpoint, timeoutMs));
  const at = isReplica && !door ? await masterOf(place, timeoutMs) : place;
  return openControl({ ...at, db }, { side: 'from', timeoutMs });
}
