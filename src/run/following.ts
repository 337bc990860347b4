/** Puts the following of a run's sources together: servers and their databases, the nodes, the cutover. */
import { Gate } from '../async.js';
import { messageOf, PreflightError } from '../errors.js';
import { type ListingRecord, listingRecord } from '../engine/seen-keys.js';
import { FollowedDatabase, OwnKeys } from '../follow/followed-database.js';
import { FollowedServer, type ServerToFollow } from '../follow/followed-server.js';
import { Follower } from '../follow/follower.js';
import { NodeWatch } from '../follow/node-watch.js';
import { SourceSlots } from '../follow/source-slots.js';
import { strays } from '../follow/strays.js';
import type { Limits } from '../limits/limits.js';
import { temporaryPrefix } from '../movers/elements/temporary.js';
import type { FollowOptions, PatienceOptions } from '../options/options.js';
import { connect, type Connection } from '../redis/connection.js';
import { type Endpoint, type NatRule, printable } from '../redis/endpoint.js';
import { openControl } from '../redis/control.js';
import { keyAt, slotOf } from '../redis/keys.js';
import { type ClusterTopology, openTopology } from '../redis/topology.js';
import type {
  FeedPosition,
  FollowCheckpoint,
  FollowStatus,
  Keys,
  Logger,
  Node,
  Source,
  Tally,
} from '../types.js';

const lookEveryMs = 1000;
/** How many databases are copied for the first time at once. */
const copiesAtOnce = 4;
const noPrefix = Buffer.alloc(0);

/** From where an earlier run's following goes on, by database. */
export type FollowCheckpoints = Readonly<Record<string, FollowCheckpoint>>;

export interface FollowingOptions {
  readonly options: FollowOptions & PatienceOptions;
  /** Of the target. */
  readonly topology: ClusterTopology;
  /** How announced addresses of a source cluster are reached from here. */
  readonly nat: readonly NatRule[];
  /** The sources are the masters of one cluster: keys may move from one to the other. */
  readonly areOfCluster: boolean;
  /** Whether two sources may have keys that are of one name in the cluster. */
  readonly mayShareNames: boolean;
  /** How many keys the sources have, about. */
  readonly keyCount: number;
  /** Lets the run go at full speed, or no more: while writes are held, nobody is spared by taking longer. */
  readonly liftLimits: (isLifted: boolean) => void;
  readonly logger: Logger;
  /** Whether an earlier run of the job has copied keys. */
  readonly goesOn: boolean;
  /** Where that one had come to; what is not in there has to be compared. */
  readonly resumeAt: FollowCheckpoints;
  readonly tell: (sentence: string) => void;
  readonly warn: (sentence: string) => void;
}

/** A database that is to be followed, and how it is reached. */
export interface DatabaseToFollow {
  readonly source: Source;
  /** Databases of one server share it. */
  readonly serverId: string;
  readonly server: Omit<ServerToFollow, 'endpoint'>;
  readonly endpoint: Endpoint;
  readonly keyCount: number;
  /** Put ahead of its keys' names in the cluster; undefined: nothing is. */
  readonly prefix: Buffer | undefined;
  readonly limits: Pick<Limits, 'page'>;
  openSource(): Promise<Connection>;
  /** Closes the connections to the source: others are opened as they are needed. */
  renewSource(): void;
}

/** One database of the run, for those who copy it. */
export interface Followed {
  readonly database: FollowedDatabase;
  /** By which its server is read where it holds all of its clients; undefined: it holds none. */
  readonly sideDoor: Endpoint | undefined;
  /** Follows while this works. @param work the pipeline over the database's source. */
  during(work: () => Promise<void>, tally: Tally, signal: AbortSignal): Promise<void>;
}

export class Following {
  readonly #given: FollowingOptions;
  readonly #servers = new Map<string, FollowedServer>();
  readonly #databases = new Map<FollowedDatabase, DatabaseToFollow>();
  readonly #nodes: NodeWatch;
  /** Names that were taken for strays in the present round, by the database that does so. */
  readonly #strays = new Map<FollowedDatabase, string[]>();
  /** Of the cluster that the sources are masters of; undefined: they stand alone. */
  #slots: SourceSlots | undefined;
  readonly #claimed: ListingRecord | undefined;
  readonly #checkpoints = new Map<FollowedDatabase, FollowCheckpoint>();
  readonly #copies = new Gate();
  #copying = 0;
  #looking: NodeJS.Timeout | undefined;
  #follower: Follower | undefined;

  constructor(given: FollowingOptions) {
    this.#given = given;
    const datasets = commonDatasets(Object.values(given.resumeAt));
    this.#nodes = new NodeWatch(
      { topology: given.topology, connectNode: (node) => this.#connectNode(node) },
      datasets,
    );
    this.#claimed = given.mayShareNames ? listingRecord(given.keyCount, 'sparse') : undefined;
  }

  /** Undefined until the feeds have been joined. */
  get status(): FollowStatus | undefined {
    return this.#follower?.status;
  }

  get follower(): Follower | undefined {
    return this.#follower;
  }

  /** Of the databases whose first copy is complete. */
  get checkpoints(): FollowCheckpoints {
    const known = [...this.#checkpoints].map(([{ job }, checkpoint]) => [job, checkpoint] as const);
    return Object.fromEntries(known);
  }

  /** To be called for each database, ahead of `join`. */
  add(given: DatabaseToFollow): Followed {
    const { endpoint } = given;
    const server = this.#serverOf(given);
    const job = endpoint.sentinels
      ? `${endpoint.sentinels.name}/${String(endpoint.db)}`
      : printable(endpoint);
    const database: FollowedDatabase = new FollowedDatabase({
      first: given.source,
      db: endpoint.db,
      job,
      isCopied: this.#resumeAt(job) !== undefined,
      own: this.#claimed && new OwnKeys(this.#claimed, listingRecord(given.keyCount, 'sparse')),
      pageKeys: () => given.limits.page(),
      turn: (isOver) => this.#turn(isOver),
      openSource: () => given.openSource(),
      renewSource: () => {
        given.renewSource();
      },
      strays: () => this.#straysOf(database),
      feedPosition: () => server.position,
      ownerOf: (name) => this.#slots?.ownerOf(Buffer.from(name, 'latin1'))?.changed,
      reached: (position) => {
        if (this.#slots?.isSearched === false) return;
        this.#checkpoints.set(database, { position, datasets: this.#nodes.datasets });
      },
      roundEnded: (round) => {
        this.#tellOthersOfStrays(database);
        this.#follower?.roundEnded(database, round);
        if (round.keys === Infinity) server.passEnded(round.tookMs);
      },
    });
    this.#databases.set(database, given);
    server.add(database);
    return {
      database,
      get sideDoor() {
        return server.sideDoor;
      },
      during: (work, tally, signal) => this.#during(work, tally, signal),
    };
  }

  /**
   * Joins the feeds: from then on no change is missed.
   * @throws PreflightError in one sentence; nothing was moved then.
   */
  async join(): Promise<void> {
    const { options, goesOn, logger, tell, warn, liftLimits } = this.#given;
    const servers = [...this.#servers.values()];
    await this.#learnSlots();
    const nodesWhy = await this.#nodes.look();
    for (const server of servers) await this.#join(server);
    for (const database of this.#databases.keys()) {
      const { changed } = database;
      if (nodesWhy !== undefined) changed.noteEverything(nodesWhy);
      // All keys are copied once more, but for those that were deleted since the earlier run.
      if (goesOn && !this.#resumeAt(database.job)) changed.noteStrays();
    }
    this.#searchAllSlots();
    this.#follower = new Follower({
      servers,
      options,
      liftLimits,
      checkSources: async () => this.#slots?.check(),
      clusterKeys: () => this.#nodes.countKeys(),
      lookAtNodes: () => this.#lookAtNodes(),
      logger,
      tell,
      warn,
    });
  }

  close(): void {
    clearInterval(this.#looking);
    for (const { unmoved } of this.#databases.keys()) unmoved.close();
    for (const server of this.#servers.values()) server.close();
    this.#nodes.close();
  }

  #serverOf({ serverId, server, endpoint }: DatabaseToFollow): FollowedServer {
    const { options, goesOn, logger, warn } = this.#given;
    let known = this.#servers.get(serverId);
    if (!known) {
      known = new FollowedServer({
        server: { ...server, endpoint },
        options,
        goesOn,
        mayLook: () => this.#follower?.phase === 'following',
        logger,
        warn,
      });
      this.#servers.set(serverId, known);
    }
    return known;
  }

  async #learnSlots(): Promise<void> {
    const { areOfCluster, options, nat } = this.#given;
    const [any] = this.#databases.values();
    if (!areOfCluster || !any) return;
    const seed = await openControl(any.endpoint, { side: 'from', timeoutMs: options.timeoutMs });
    try {
      const { timeoutMs } = options;
      const topology = await openTopology(seed, { timeoutMs, nat, flag: '--from-cluster' });
      this.#slots = new SourceSlots(topology, timeoutMs);
      for (const [database, { endpoint }] of this.#databases) this.#slots.add(endpoint, database);
      await this.#slots.check().catch((error: unknown) => {
        throw new PreflightError(messageOf(error), { cause: error });
      });
    } finally {
      seed.close();
    }
  }

  /** Slots may have moved while nobody heard of it, to masters of which all is known since. */
  #searchAllSlots(): void {
    const all = [...this.#databases.keys()];
    if (!this.#slots || all.every(({ changed }) => changed.isOfFeed)) return;
    for (const { changed } of all) changed.noteStrays();
  }

  /** Where keys of one name may be of several sources, only a first copy tells whose they are. */
  #resumeAt(job: string): FollowCheckpoint | undefined {
    return this.#given.mayShareNames ? undefined : this.#given.resumeAt[job];
  }

  async #join(server: FollowedServer): Promise<void> {
    const { databases } = server;
    const resumeAt = earliest(databases.map(({ job }) => this.#resumeAt(job)?.position));
    const isHeard = await server.join(resumeAt, (error) => {
      for (const { source } of databases) source.fail(error);
      void this.#endAll('the source was lost');
    });
    for (const database of databases) {
      const checkpoint = this.#resumeAt(database.job);
      if (!checkpoint) continue;
      if (isHeard) this.#checkpoints.set(database, checkpoint);
      else database.changed.noteEverything('nobody has told of what has changed since');
    }
  }

  /** The run of one database: when one ends, none of the others could come to the cutover. */
  async #during(work: () => Promise<void>, tally: Tally, signal: AbortSignal): Promise<void> {
    const stop = (): void => void this.#endAll('the run was stopped');
    tally.onBatch(({ repeated, deleted }) => {
      this.#follower?.noteCopies(Math.max(0, repeated - deleted), deleted);
    });
    this.#looking ??= setInterval(() => {
      // A node that does not answer now is looked at the next time, and before the cutover.
      this.#lookAtNodes().catch(() => undefined);
    }, lookEveryMs);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop);
    try {
      await work();
    } finally {
      signal.removeEventListener('abort', stop);
      clearInterval(this.#looking);
      await this.#endAll('the run ended');
    }
  }

  async #endAll(why: string): Promise<void> {
    for (const { source } of this.#databases.keys()) source.end();
    this.#copies.check();
    await this.#follower?.end(why);
    for (const server of this.#servers.values()) await server.putBackScripts();
  }

  async #turn(isOver: () => boolean): Promise<() => void> {
    await this.#copies.until(() => this.#copying < copiesAtOnce || isOver());
    this.#copying++;
    return () => {
      this.#copying--;
      this.#copies.check();
    };
  }

  /** Keys that the cluster has under names of this database, and no source has them any more. */
  async *#straysOf(database: FollowedDatabase): AsyncIterable<Keys> {
    const { topology, mayShareNames } = this.#given;
    const given = this.#databases.get(database) as DatabaseToFollow;
    const prefix = given.prefix ?? noPrefix;
    const search = await this.#slots?.beginSearch(database);
    if (search?.slots.size === 0) return;
    // Each of them may have the keys.
    const asked = mayShareNames ? [...this.#databases.values()] : [given];
    const found = strays({
      topology,
      connectNode: (node) => this.#connectNode(node),
      openSources: () => Promise.all(asked.map((one) => one.openSource())),
      keyOf: (name) => {
        if (name.toString('latin1', 0, temporaryPrefix.length) === temporaryPrefix)
          return undefined;
        if (!name.subarray(0, prefix.length).equals(prefix)) return undefined;
        const key = name.subarray(prefix.length);
        return search && !search.slots.has(slotOf(key, 0, key.length)) ? undefined : key;
      },
    });
    for await (const page of found) {
      if (mayShareNames) this.#noteStrays(database, page);
      yield page;
    }
    if (search) await this.#slots?.endSearch(database, search);
  }

  #noteStrays(database: FollowedDatabase, page: Keys): void {
    const names = this.#strays.get(database) ?? [];
    for (let index = 0; index < page.count; index++) {
      names.push(keyAt(page, index).toString('latin1'));
    }
    this.#strays.set(database, names);
  }

  /**
   * Another source may have got a key while its copy was taken for a stray, and deleted. What it has not claimed
   * it is not told of: it would claim a key that it never had, and the one that has it later could not be copied.
   */
  #tellOthersOfStrays(database: FollowedDatabase): void {
    const names = this.#strays.get(database) ?? [];
    this.#strays.delete(database);
    for (const other of this.#databases.keys()) {
      if (other !== database) for (const name of names) other.copyIfOwn(name);
    }
  }

  /** Each look tells only what is new: whoever looks sees to it, also where nobody waits for the look any more. */
  async #lookAtNodes(): Promise<void> {
    const why = await this.#nodes.look();
    if (why === undefined) return;
    this.#given.logger.info({ why }, 'all keys are compared again');
    for (const { changed } of this.#databases.keys()) changed.noteEverything(why);
  }

  #connectNode(node: Node): Promise<Connection> {
    const { topology, options } = this.#given;
    return connect(topology.endpointOf(node), { timeoutMs: options.timeoutMs });
  }
}

/** Where a server's feed has to go on for all of its databases; undefined: it can't. */
function earliest(positions: readonly (FeedPosition | undefined)[]): FeedPosition | undefined {
  return positions.reduce((one, other) => {
    if (!one || one.replicationId !== other?.replicationId) return undefined;
    return other.offset < one.offset ? other : one;
  }, positions[0]);
}

/** Which data sets the nodes had when each of these was noted: where they differ, none that there is. */
function commonDatasets(
  checkpoints: readonly FollowCheckpoint[],
): Readonly<Record<string, string>> {
  const common: Record<string, string> = {};
  for (const { datasets } of checkpoints) {
    for (const [address, dataset] of Object.entries(datasets)) {
      common[address] = (common[address] ?? dataset) === dataset ? dataset : '';
    }
  }
  return common;
}
