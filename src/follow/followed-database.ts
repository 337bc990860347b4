/**
 * One database that is followed: its keys as they are listed and as they change, what waits to be copied again,
 * and from where a later start can go on.
 */
import { askNumbers } from '../compare/ask-many.js';
import type { Connection } from '../redis/connection.js';
import { parted, keyAt } from '../redis/frames.js';
import type { FeedPosition, KeyFailure, Keys, Mover, Source } from '../types.js';
import type { AllSources } from './all-sources.js';
import { ChangedKeys, UnmovedKeys } from './changed-keys.js';
import { FollowedSource, type Round } from './followed-source.js';

export interface FollowedDatabaseOptions {
  readonly first: Source;
  /** The number of the database at its server. */
  readonly db: number;
  /** Under which its position is kept, the same at each start of the job. */
  readonly job: string;
  /** The first copy was completed by an earlier run, and what has changed since is heard of. */
  readonly isCopied: boolean;
  /** What is known of all sources together. */
  readonly all: AllSources;
  pageKeys(): number;
  /** Waits until this database may be copied. @returns what to call when it has been. */
  turn(isOver: () => boolean): Promise<() => void>;
  /** Opens a connection to the database, which is closed here. */
  openSource(): Promise<Connection>;
  /** Closes the connections by which it is copied: others are opened as they are needed. */
  renewSource(): void;
  /** Keys of this database that the cluster has and no source has any more. */
  strays(): AsyncIterable<Keys>;
  /** Where the feed of its server is now; undefined: no start can go on there. */
  feedPosition(): FeedPosition | undefined;
  /** Hears of the end of each round. */
  roundEnded(round: Round): void;
}

export class FollowedDatabase {
  readonly changed = new ChangedKeys();
  readonly source: FollowedSource;
  readonly unmoved: UnmovedKeys;
  readonly #options: FollowedDatabaseOptions;
  /** Where the feed was when the present round took what waited. */
  #roundAt: FeedPosition | undefined;

  constructor(options: FollowedDatabaseOptions) {
    this.#options = options;
    const { all } = options;
    this.unmoved = new UnmovedKeys((name) => all.ownerOf(name) ?? this.changed);
    this.source = new FollowedSource(options.first, {
      changed: this.changed,
      isCopied: options.isCopied,
      pageKeys: () => options.pageKeys(),
      turn: (isOver) => options.turn(isOver),
      ownKeys: (page) => (all.claim ? this.#ownKeys(page, all.claim) : page),
      strays: () => options.strays(),
      roundBegins: () => {
        this.#roundAt = options.feedPosition();
      },
      roundEnded: (round) => {
        if (round.isWhole) this.#notePosition();
        options.roundEnded(round);
      },
    });
  }

  get db(): number {
    return this.#options.db;
  }

  get job(): string {
    return this.#options.job;
  }

  /** As operators know it. */
  get name(): string {
    return this.#options.first.name;
  }

  /** Keys that are on their way to the database that they belong to. */
  get passing(): number {
    return this.#options.all.passing;
  }

  renewSource(): void {
    this.#options.renewSource();
  }

  /** The same mover, none of whose failures is for good. */
  retrying(mover: Mover): Mover {
    return this.unmoved.retrying(mover);
  }

  /** What waited when the round began is where it should be, and so is what was heard of before. */
  #notePosition(): void {
    if (!this.#roundAt || !this.source.isCopied || this.unmoved.count > 0) return;
    if (this.changed.isOfFeed) this.#options.all.reached(this.#roundAt);
  }

  /** Leaves out keys whose names another source had first: those that are here as well can't be copied. */
  async #ownKeys(page: Keys, claim: NonNullable<AllSources['claim']>): Promise<Keys> {
    const mine = await claim(page);
    if (mine.length === page.count) return page;
    const isMine = new Set(mine);
    const [own, foreign] = parted(page, (place) => isMine.has(place));
    const there = await this.#areThere(foreign);
    for (const [index, isThere] of there.entries()) {
      if (isThere !== 0) this.unmoved.add(sharedName(keyAt(foreign, index)));
    }
    return own;
  }

  async #areThere(keys: Keys): Promise<Float64Array> {
    for (;;) {
      const connection = await this.#options.openSource();
      try {
        return await askNumbers(connection, 'EXISTS', keys);
      } catch (error) {
        if (!connection.lost) throw error;
      } finally {
        connection.close();
      }
    }
  }
}

const sharedName = (key: Buffer): KeyFailure => ({
  key,
  class: 'conflict',
  message:
    'another source has, or had, a key of this name: pass --key-prefix with {from} or {db}, or delete one of them and start again',
});
