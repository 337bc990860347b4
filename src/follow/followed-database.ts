/**
 * One database that is followed: its keys as they are listed and as they change, what waits to be copied again,
 * and from where a later start can go on.
 */
import { askNumbers } from '../compare/ask-many.js';
import type { Connection } from '../redis/connection.js';
import { chosen, keyAt, keyStart } from '../redis/keys.js';
import type { FeedPosition, KeyFailure, Keys, Mover, Source } from '../types.js';
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
  /** Which keys are its own, where another source may have the same; undefined: none has. */
  readonly own: OwnKeys | undefined;
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
  /** Whose database a key belongs to that could not be copied: slots of a source may have moved. */
  ownerOf(name: string): Pick<ChangedKeys, 'note'> | undefined;
  /** Up to there every change is in the cluster. */
  reached(position: FeedPosition): void;
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
    const { own } = options;
    this.unmoved = new UnmovedKeys((name) => options.ownerOf(name) ?? this.changed);
    this.source = new FollowedSource(options.first, {
      changed: this.changed,
      isCopied: options.isCopied,
      pageKeys: () => options.pageKeys(),
      turn: (isOver) => options.turn(isOver),
      ownKeys: (page) => (own ? this.#ownKeys(page, own) : page),
      strays: () => options.strays(),
      roundBegins: () => {
        this.#roundAt = options.feedPosition();
      },
      roundEnded: (round) => {
        this.#notePosition();
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

  renewSource(): void {
    this.#options.renewSource();
  }

  /** The cluster may lack a key: if it is this database's, it is copied once more. */
  copyIfOwn(name: string): void {
    const bytes = Buffer.from(name, 'latin1');
    if (this.#options.own?.has(bytes, 0, bytes.length)) this.changed.note(name);
  }

  /** The same mover, none of whose failures is for good. */
  retrying(mover: Mover): Mover {
    return this.unmoved.retrying(mover);
  }

  /** What waited when the round began is where it should be, and so is what was heard of before. */
  #notePosition(): void {
    if (!this.#roundAt || !this.source.isCopied || this.unmoved.count > 0) return;
    if (this.changed.isOfFeed) this.#options.reached(this.#roundAt);
  }

  /** Leaves out keys whose names another source had first: those that are here as well can't be copied. */
  async #ownKeys(page: Keys, own: OwnKeys): Promise<Keys> {
    const { bytes, starts } = page;
    const mine: number[] = [];
    const others: number[] = [];
    for (let index = 0; index < page.count; index++) {
      const end = (starts[index + 1] as number) - 2;
      const isMine = own.claim(bytes, keyStart(bytes, starts[index] as number), end);
      (isMine ? mine : others).push(index);
    }
    if (others.length === 0) return page;
    const foreign = chosen(page, others);
    const there = await this.#areThere(foreign);
    for (const [index, isThere] of there.entries()) {
      if (isThere !== 0) this.unmoved.add(sharedName(keyAt(foreign, index)));
    }
    return chosen(page, mine);
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

/*
 * Which of several sources a key of the cluster is from. The cluster has one key of a name, so the first source that
 * has it keeps it: what the others have under that name is never copied, nor is it deleted when they delete theirs.
 */

/** Remembers keys, in bounded memory (engine/seen-keys.ts). */
export interface KeyRecord {
  /** Whether the key `bytes[start .. end)` was noted before; notes it. */
  noted(bytes: Buffer, start: number, end: number): boolean;
  /** Whether it was noted before. */
  has(bytes: Buffer, start: number, end: number): boolean;
}

/** The keys of one source. */
export class OwnKeys {
  readonly #all: KeyRecord;
  readonly #own: KeyRecord;

  /** @param all what all sources have claimed, which they share. @param own what this one has. */
  constructor(all: KeyRecord, own: KeyRecord) {
    this.#all = all;
    this.#own = own;
  }

  /** Whether the key `bytes[start .. end)` is known to be this source's. */
  has(bytes: Buffer, start: number, end: number): boolean {
    return this.#own.has(bytes, start, end);
  }

  /** @returns whether the key `bytes[start .. end)` is this source's: no other one had it before. */
  claim(bytes: Buffer, start: number, end: number): boolean {
    if (this.#own.has(bytes, start, end)) return true;
    if (this.#all.noted(bytes, start, end)) return false;
    this.#own.noted(bytes, start, end);
    return true;
  }
}
