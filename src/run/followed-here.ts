/** What this process follows of a run's sources: servers and their databases, and the search for strays. */
import { Gate } from '../async.js';
import type { AllSources, ToldOfChanges } from '../follow/all-sources.js';
import { FollowedDatabase } from '../follow/followed-database.js';
import { FollowedServer, type ServerToFollow } from '../follow/followed-server.js';
import { LocalParticipant } from '../follow/local-participant.js';
import { strays } from '../follow/strays.js';
import type { Limits } from '../limits/limits.js';
import { temporaryPrefix } from '../movers/elements/writer.js';
import type { FollowOptions, PatienceOptions } from '../options/options.js';
import { connect, type Connection } from '../redis/connection.js';
import { type Endpoint, printable } from '../redis/endpoint.js';
import { slotOf } from '../redis/frames.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { FollowCheckpoint, Keys, Logger, Phase, Source } from '../types.js';

/** How many databases are copied for the first time at once. */
const copiesAtOnce = 4;
const noPrefix = Buffer.alloc(0);

export interface FollowedHereOptions {
  readonly options: FollowOptions & PatienceOptions;
  /** Of the target. */
  readonly topology: ClusterTopology;
  /** Whether an earlier run of the job has copied keys, or an earlier process of this one. */
  readonly goesOn: boolean;
  readonly lead: FollowLead;
  /** Lets the run go at full speed, or no more: while writes are held, nobody is spared by taking longer. */
  liftLimits(isLifted: boolean): void;
  readonly logger: Logger;
  readonly warn: (sentence: string) => void;
}

/** Who knows of all sources, and decides: this process (following.ts), or the one that began the run. */
export interface FollowLead {
  /** Another process of this run has followed it: where the source refuses writes, that is of a cutover given up. */
  readonly isTakenUp: boolean;
  /** How far all sources are; undefined: nobody knows yet. */
  readonly phase: Phase | undefined;
  /** From where an earlier run's following goes on, by database; undefined: all of its keys have to be compared. */
  resumeAt(job: string): FollowCheckpoint | undefined;
  /** To be called for each database, ahead of all else. @param job under which its position is kept. */
  add(job: string, database: KnownDatabase): AllSources;
}

/** A database that is followed, as the others are concerned with it. */
export interface KnownDatabase {
  readonly endpoint: Endpoint;
  /** How many keys it has, about. */
  readonly keyCount: number;
  readonly changed: ToldOfChanges;
  /** Opens a connection to it. */
  openSource(): Promise<Connection>;
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
}

/** Under what a database's position is kept, the same at each start of the job. */
export function followedJob(endpoint: Endpoint): string {
  const { sentinels, db } = endpoint;
  return sentinels ? `${sentinels.name}/${String(db)}` : printable(endpoint);
}

export class FollowedHere {
  readonly #given: FollowedHereOptions;
  readonly #servers = new Map<string, FollowedServer>();
  readonly #all = new Map<FollowedDatabase, AllSources>();
  #participants: readonly LocalParticipant[] | undefined;
  readonly #copies = new Gate();
  #copying = 0;

  constructor(given: FollowedHereOptions) {
    this.#given = given;
  }

  /** To be called for each database, ahead of `join`. */
  add(given: DatabaseToFollow): Followed {
    const { endpoint } = given;
    const server = this.#serverOf(given);
    const job = followedJob(endpoint);
    // It knows its changed keys only once it is there.
    const changed: ToldOfChanges = {
      get isOfFeed() {
        return database.changed.isOfFeed;
      },
      note(name) {
        database.changed.note(name);
      },
      noteEverything(why) {
        database.changed.noteEverything(why);
      },
      noteStrays() {
        database.changed.noteStrays();
      },
    };
    const all = this.#given.lead.add(job, {
      endpoint,
      keyCount: given.keyCount,
      changed,
      openSource: () => given.openSource(),
    });
    const database: FollowedDatabase = new FollowedDatabase({
      first: given.source,
      db: endpoint.db,
      job,
      isCopied: this.#given.lead.resumeAt(job) !== undefined,
      all,
      pageKeys: () => given.limits.page(),
      turn: (isOver) => this.#turn(isOver),
      openSource: () => given.openSource(),
      renewSource: () => {
        given.renewSource();
      },
      strays: () => this.#straysOf(given, all),
      feedPosition: () => server.position,
      roundEnded: (round) => {
        all.roundEnded(round, database.source.isCopied);
        if (round.keys === Infinity) server.passEnded(round.tookMs);
      },
    });
    this.#all.set(database, all);
    server.add(database);
    return {
      database,
      get sideDoor() {
        return server.sideDoor;
      },
    };
  }

  /** One for each server. */
  get participants(): readonly LocalParticipant[] {
    this.#participants ??= [...this.#servers.values()].map(
      (server) =>
        new LocalParticipant(server, (isLifted) => {
          this.#given.liftLimits(isLifted);
        }),
    );
    return this.#participants;
  }

  /**
   * Joins the feeds: from then on no change is missed.
   * @param lost is called when one of them can't go on.
   * @throws PreflightError in one sentence; nothing was moved then.
   */
  async join(lost: () => void): Promise<void> {
    for (const server of this.#servers.values()) await this.#join(server, lost);
  }

  /** No further round is begun, and writes that are held go on. */
  async end(): Promise<void> {
    for (const one of this.participants) if (one.isHeld) await one.letGo();
    for (const { source } of this.#all.keys()) source.end();
    this.#copies.check();
    for (const server of this.#servers.values()) await server.putBackScripts();
  }

  close(): void {
    for (const { unmoved } of this.#all.keys()) unmoved.close();
    for (const server of this.#servers.values()) server.close();
  }

  #serverOf({ serverId, server, endpoint }: DatabaseToFollow): FollowedServer {
    const { options, goesOn, lead, logger, warn } = this.#given;
    let known = this.#servers.get(serverId);
    if (!known) {
      known = new FollowedServer({
        server: { ...server, endpoint },
        options,
        goesOn,
        isTakenUp: lead.isTakenUp,
        mayLook: () => lead.phase === 'following',
        logger,
        warn,
      });
      this.#servers.set(serverId, known);
    }
    return known;
  }

  async #join(server: FollowedServer, lost: () => void): Promise<void> {
    const { goesOn } = this.#given;
    const { databases } = server;
    const checkpointOf = ({ job }: FollowedDatabase) => this.#given.lead.resumeAt(job);
    const resumeAt = earliest(databases.map((database) => checkpointOf(database)?.position));
    const isHeard = await server.join(resumeAt, (error) => {
      for (const { source } of databases) source.fail(error);
      lost();
    });
    for (const database of databases) {
      const { changed } = database;
      if (checkpointOf(database)) {
        if (isHeard) this.#all.get(database)?.goesOn();
        else changed.noteEverything('nobody has told of what has changed since');
      } else if (goesOn) {
        // All keys are copied once more, but for those that were deleted since the earlier run.
        changed.noteStrays();
      }
    }
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
  async *#straysOf(given: DatabaseToFollow, all: AllSources): AsyncIterable<Keys> {
    const { topology, options } = this.#given;
    const prefix = given.prefix ?? noPrefix;
    const slots = await all.beginSearch();
    if (slots?.size === 0) return;
    const found = strays({
      topology,
      connectNode: (node) => connect(topology.endpointOf(node), { timeoutMs: options.timeoutMs }),
      openSource: () => given.openSource(),
      keyOf: (name) => {
        if (name.toString('latin1', 0, temporaryPrefix.length) === temporaryPrefix)
          return undefined;
        if (!name.subarray(0, prefix.length).equals(prefix)) return undefined;
        const key = name.subarray(prefix.length);
        return slots && !slots.has(slotOf(key, 0, key.length)) ? undefined : key;
      },
    });
    for await (const page of found) yield await all.absentElsewhere(page);
    await all.endSearch();
  }
}

/** Where a server's feed has to go on for all of its databases; undefined: it can't. */
function earliest(positions: readonly (FollowCheckpoint['position'] | undefined)[]) {
  return positions.reduce((one, other) => {
    if (!one || one.replicationId !== other?.replicationId) return undefined;
    return other.offset < one.offset ? other : one;
  }, positions[0]);
}
