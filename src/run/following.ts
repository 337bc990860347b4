/**
 * Knows of all sources that a run follows, wherever each of them is followed (followed-here.ts, workers/): whose a key
 * is, the slots of a source cluster, the cluster's nodes, from where a later start goes on, and the cutover.
 */
import { messageOf, PreflightError } from '../errors.js';
import { type ListingRecord, listingRecord } from '../engine/seen-keys.js';
import { type AllSources, OwnKeys } from '../follow/all-sources.js';
import { openWriteControl } from '../follow/followed-server.js';
import { Follower } from '../follow/follower.js';
import type { OpenWrites } from '../follow/half-done.js';
import { NodeWatch } from '../follow/node-watch.js';
import type { Participant } from '../follow/participant.js';
import { type SlotSearch, SourceSlots } from '../follow/source-slots.js';
import { absentAt } from '../follow/strays.js';
import type { FollowOptions, PatienceOptions } from '../options/options.js';
import type { ServerSourceFacts } from '../plan/source-facts.js';
import { connect, type Connection } from '../redis/connection.js';
import type { NatRule } from '../redis/endpoint.js';
import { withControl } from '../redis/control.js';
import { keyAt } from '../redis/frames.js';
import { ConnectionPool, reopening } from '../redis/pool.js';
import { type ClusterTopology, openTopology } from '../redis/topology.js';
import type {
  FeedPosition,
  FollowCheckpoint,
  FollowStatus,
  Keys,
  Logger,
  Phase,
  Tally,
} from '../types.js';
import type { FollowLead, KnownDatabase } from './followed-here.js';

const lookEveryMs = 1000;

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
  readonly logger: Logger;
  /** Where an earlier run of the job had come to; what is not in there has to be compared. */
  readonly resumeAt: FollowCheckpoints;
  readonly tell: (sentence: string) => void;
  readonly warn: (sentence: string) => void;
}

/** Those who follow the sources. */
export interface Followers {
  readonly participants: readonly Participant[];
  /** Joins the feeds. @param lost is called when one of them can't go on. @throws PreflightError */
  join(lost: () => void): Promise<void>;
  /** Nothing is followed any more. */
  end(): Promise<void>;
}

/** How a source is reached where its writes are held. */
export function openWritesOf(
  { endpoint, role }: Pick<ServerSourceFacts, 'endpoint' | 'role'>,
  timeoutMs: number,
): OpenWrites {
  return () => openWriteControl({ endpoint, isReplica: role === 'slave' }, timeoutMs);
}

export class Following implements FollowLead {
  readonly isTakenUp = false;
  readonly #given: FollowingOptions;
  readonly #databases = new Map<string, KnownDatabase>();
  readonly #nodes: NodeWatch;
  readonly #claims = new Map<string, OwnKeys>();
  /** Names that were taken for strays in the present round, by the database that does so. */
  readonly #strays = new Map<string, string[]>();
  /** To the sources, by database: while strays of another one are looked for. */
  readonly #pool = new ConnectionPool();
  readonly #askable = new Map<string, () => Promise<Connection>>();
  /** Of the cluster that the sources are masters of; undefined: they stand alone. */
  #slots: SourceSlots | undefined;
  readonly #claimed: ListingRecord | undefined;
  readonly #checkpoints = new Map<string, FollowCheckpoint>();
  #followers: Followers | undefined;
  #looking: NodeJS.Timeout | undefined;
  #follower: Follower | undefined;

  constructor(given: FollowingOptions) {
    this.#given = given;
    const datasets = commonDatasets(Object.values(given.resumeAt));
    this.#nodes = new NodeWatch(
      {
        topology: given.topology,
        connectNode: (node) =>
          connect(given.topology.endpointOf(node), { timeoutMs: given.options.timeoutMs }),
      },
      datasets,
    );
    this.#claimed = given.mayShareNames ? listingRecord(given.keyCount, 'sparse') : undefined;
  }

  /** Undefined until the feeds have been joined. */
  get status(): FollowStatus | undefined {
    return this.#follower?.status;
  }

  get phase(): Phase | undefined {
    return this.#follower?.phase;
  }

  get follower(): Follower | undefined {
    return this.#follower;
  }

  /** Of the databases whose first copy is complete. */
  get checkpoints(): FollowCheckpoints {
    return Object.fromEntries(this.#checkpoints);
  }

  /** Where keys of one name may be of several sources, only a first copy tells whose they are. */
  resumeAt(job: string): FollowCheckpoint | undefined {
    return this.#given.mayShareNames ? undefined : this.#given.resumeAt[job];
  }

  add(job: string, database: KnownDatabase): AllSources {
    const { changed, keyCount } = database;
    this.#databases.set(job, database);
    const open = () => this.#pool.add(database.openSource());
    this.#askable.set(job, reopening(open));
    const own = this.#claimed && new OwnKeys(this.#claimed, listingRecord(keyCount, 'sparse'));
    if (own) this.#claims.set(job, own);
    let search: SlotSearch | undefined;
    return {
      claim: own && ((page) => own.claimAll(page)),
      passing: 0,
      ownerOf: (name) => this.#slots?.ownerOf(Buffer.from(name, 'latin1'))?.changed,
      beginSearch: async () => {
        search = await this.#slots?.beginSearch(database);
        return search?.slots;
      },
      endSearch: async () => {
        if (search) await this.#slots?.endSearch(database, search);
      },
      absentElsewhere: (page) => this.#absentElsewhere(job, page),
      goesOn: () => {
        const checkpoint = this.resumeAt(job);
        if (checkpoint && changed.isOfFeed) this.#checkpoints.set(job, checkpoint);
      },
      reached: (position) => {
        this.#reached(job, position);
      },
      roundEnded: (round, isCopied) => {
        this.#tellOthersOfStrays(job);
        if (isCopied) this.#follower?.roundEnded(job, round);
      },
    };
  }

  /**
   * Joins the feeds: from then on no change is missed.
   * @throws PreflightError in one sentence; nothing was moved then.
   */
  async join(followers: Followers): Promise<void> {
    const { options, logger, tell, warn } = this.#given;
    this.#followers = followers;
    await this.#learnSlots();
    const nodesWhy = await this.#nodes.look();
    await followers.join(() => void this.end('the source was lost'));
    if (nodesWhy !== undefined) this.#compareAll(nodesWhy);
    this.searchAllSlots();
    this.#follower = new Follower({
      participants: followers.participants,
      options,
      checkSources: async () => this.#slots?.check(),
      clusterKeys: () => this.#nodes.countKeys(),
      lookAtNodes: () => this.#lookAtNodes(),
      logger,
      tell,
      warn,
    });
  }

  /** From now on the nodes are looked at. To be called after `join`. @param tallies of all sources. */
  begin(tallies: readonly Tally[]): void {
    for (const tally of tallies) {
      tally.onBatch(({ repeated, deleted }) => {
        this.#follower?.noteCopies(Math.max(0, repeated - deleted), deleted);
      });
    }
    this.#looking ??= setInterval(() => {
      // A node that does not answer now is looked at the next time, and before the cutover.
      this.#lookAtNodes().catch(() => undefined);
    }, lookEveryMs);
  }

  /** Writes that are held go on, and nothing is followed any more. @param why one clause in plain English. */
  async end(why: string): Promise<void> {
    clearInterval(this.#looking);
    await this.#follower?.end(why);
    await this.#followers?.end();
  }

  close(): void {
    clearInterval(this.#looking);
    this.#pool.close();
    this.#nodes.close();
  }

  /** Slots may have moved while nobody heard of it, to masters of which all is known since. */
  searchAllSlots(): void {
    const all = [...this.#databases.values()];
    if (!this.#slots || all.every(({ changed }) => changed.isOfFeed)) return;
    for (const { changed } of all) changed.noteStrays();
  }

  async #learnSlots(): Promise<void> {
    const { areOfCluster, options, nat } = this.#given;
    const [any] = this.#databases.values();
    if (!areOfCluster || !any) return;
    const { timeoutMs } = options;
    await withControl(any.endpoint, { side: 'from', timeoutMs }, async (seed) => {
      const topology = await openTopology(seed, { timeoutMs, nat, flag: '--from-cluster' });
      this.#slots = new SourceSlots(topology, timeoutMs);
      for (const database of this.#databases.values()) this.#slots.add(database.endpoint, database);
      await this.#slots.check().catch((error: unknown) => {
        throw new PreflightError(messageOf(error), { cause: error });
      });
    });
  }

  #reached(job: string, position: FeedPosition): void {
    if (this.#slots?.isSearched === false) return;
    this.#checkpoints.set(job, { position, datasets: this.#nodes.datasets });
  }

  /** Where names do not tell, each of the other sources may have the keys. */
  async #absentElsewhere(job: string, page: Keys): Promise<Keys> {
    if (!this.#given.mayShareNames) return page;
    let absent = page;
    for (const [other, connection] of this.#askable) {
      if (other !== job) absent = await absentAt(await connection(), absent);
    }
    const names = this.#strays.get(job) ?? [];
    for (let index = 0; index < absent.count; index++) {
      names.push(keyAt(absent, index).toString('latin1'));
    }
    this.#strays.set(job, names);
    return absent;
  }

  /**
   * Another source may have got a key while its copy was taken for a stray, and deleted. What it has not claimed
   * it is not told of: it would claim a key that it never had, and the one that has it later could not be copied.
   */
  #tellOthersOfStrays(job: string): void {
    const names = this.#strays.get(job) ?? [];
    this.#strays.delete(job);
    for (const [other, own] of this.#claims) {
      if (other === job) continue;
      for (const name of names) {
        const bytes = Buffer.from(name, 'latin1');
        if (own.has(bytes, 0, bytes.length)) this.#databases.get(other)?.changed.note(name);
      }
    }
  }

  /** Each look tells only what is new: whoever looks sees to it, also where nobody waits for the look any more. */
  async #lookAtNodes(): Promise<void> {
    const why = await this.#nodes.look();
    if (why === undefined) return;
    this.#given.logger.info({ why }, 'all keys are compared again');
    this.#compareAll(why);
  }

  #compareAll(why: string): void {
    for (const { changed } of this.#databases.values()) changed.noteEverything(why);
  }
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
