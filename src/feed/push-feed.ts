/**
 * Hears of a source's changes as an ordinary client does, where it may not join as a replica.
 *
 * What the source tells comes at once, in order, and on one connection, so an answer on that connection says
 * that all before it has come. What it does not tell it counts: commands that change whole
 * databases are noticed within seconds, and those that change single keys when somebody wants to have caught
 * up, at the cutover above all.
 *
 * Nothing is kept for those who were away: after a lost connection everything may have changed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { unlessAborted } from '../async.js';
import { ImportError, PreflightError, RefusedError } from '../errors.js';
import { listNames, type Word } from '../redis/ask.js';
import type { Connection } from '../redis/connection.js';
import { type Control, locate } from '../redis/control.js';
import { addressOf } from '../redis/endpoint.js';
import { command } from '../redis/frames.js';
import { ErrorReply, type Reader, type Reply, ReplyReader, textOf } from '../redis/reply.js';
import { parseVersion } from '../redis/server.js';
import type { Logger } from '../types.js';
import {
  type AskSource,
  type ChangeListener,
  type Feed,
  FeedLife,
  type FeedOptions,
  opened,
} from './feed.js';
import { ask, connectToSource, refusal, type SourceConnection } from './source-commands.js';

/**
 * Listens, and resolves once every change from now on will be reported, but for what the kind is silent on.
 * @throws PreflightError in one sentence that names the server, what it refused, and the way out.
 */
export function openPushFeed(kind: PushKind, options: FeedOptions): Promise<Feed> {
  return opened(new PushFeed(kind, options));
}

const lookEveryMs = 5000;
/** SCAN … TYPE came with this version. */
const scansByTypeSince = 60_000;
const pageKeys = 1000;

interface Listening {
  readonly source: SourceConnection;
  readonly reader: PushReader;
}

class PushFeed implements Feed {
  readonly kind: PushKind['name'];
  readonly position = undefined;
  gaps = 0;
  heardAtMs = Date.now();
  readonly #kind: PushKind;
  readonly #options: FeedOptions;
  readonly #life: FeedLife;
  #listening: Listening | undefined;
  #versionNumber = 0;
  /** As of the last look for commands that are silent on databases, and on keys. */
  #counts: CommandCounts = new Map();
  #keyCounts: CommandCounts = new Map();
  #timer: NodeJS.Timeout | undefined;

  constructor(kind: PushKind, options: FeedOptions) {
    this.kind = kind.name;
    this.#kind = kind;
    this.#options = options;
    this.#life = new FeedLife(options, () => {
      clearInterval(this.#timer);
      this.#listening?.source.connection.close();
    });
  }

  get ended(): Promise<void> {
    return this.#life.ended;
  }

  get isUp(): boolean {
    return this.#listening !== undefined && !this.#listening.source.connection.lost;
  }

  /** To be called once. */
  async open(): Promise<void> {
    await this.#listen();
    this.#timer = setInterval(() => {
      this.#look().catch(() => undefined);
    }, lookEveryMs);
    this.#timer.unref();
  }

  async caughtUp(askSource: AskSource, signal: AbortSignal): Promise<void> {
    await unlessAborted(this.#heardAll(), signal);
    const counts = readCounts(await unlessAborted(askSource(readCommandStats), signal));
    this.#noteSilentDatabases(counts);
    await this.#noteSilentKeys(counts, askSource, signal);
  }

  close(): void {
    this.#life.close();
  }

  async #listen(): Promise<void> {
    const { endpoint, timeoutMs, logger, listener } = this.#options;
    const source = await connectToSource(await locate(endpoint, timeoutMs), timeoutMs);
    try {
      const info = textOf(await ask(source, 'INFO', 'server'));
      this.#versionNumber = parseVersion(/^redis_version:(\S+)/m.exec(info)?.[1] ?? '');
      // Ahead of the news: what is counted later, and told, is reported twice at worst.
      const counts = readCounts(textOf(await ask(source, 'INFO', 'commandstats')));
      await this.#kind.prepare(source, logger);
      const reader = new PushReader(source.connection, (news) => {
        this.heardAtMs = Date.now();
        this.#kind.hear(news, endpoint.db, listener);
      });
      await this.#kind.begin(source, reader, endpoint.db);
      this.#life.signal.throwIfAborted();
      this.#counts = this.#keyCounts = counts;
      this.#listening = { source, reader };
      this.heardAtMs = Date.now();
    } catch (error) {
      source.connection.close();
      throw error;
    }
    source.connection.onLost((error) => {
      void this.#listenAgain(error);
    });
  }

  async #listenAgain(lost: Error): Promise<void> {
    if (this.#life.error) return;
    const { endpoint, listener, logger } = this.#options;
    logger.warn({ reason: lost.message }, 'the source can not be heard: connecting again');
    if (!(await this.#life.again(() => this.#listen()))) return;
    this.gaps++;
    listener.everything(
      endpoint.db,
      'the connection to the source was lost, and nobody knows what was missed',
    );
  }

  /**
   * All that the source has told is heard: news of commands of one turn of its event loop may come behind
   * an answer of the same turn (`beforeSleep` in Redis' server.c), and never behind that of a later one.
   */
  async #heardAll(): Promise<void> {
    for (;;) {
      if (this.#life.error) throw this.#life.error;
      const listening = this.#listening;
      try {
        await listening?.reader.ask('PING');
        await listening?.reader.ask('PING');
        if (this.isUp && listening === this.#listening) return;
      } catch (error) {
        if (!(error instanceof ImportError)) throw error;
      }
      await sleep(50, undefined, { signal: this.#life.signal }).catch(() => undefined);
    }
  }

  /** Is the connection alive, and was a database changed silently? */
  async #look(): Promise<void> {
    const { endpoint, timeoutMs } = this.#options;
    const listening = this.#listening;
    if (!listening || listening.source.connection.lost) return;
    await listening.reader.ask('PING');
    this.heardAtMs = Date.now();
    const source = await connectToSource(await locate(endpoint, timeoutMs), timeoutMs);
    try {
      this.#noteSilentDatabases(readCounts(textOf(await ask(source, 'INFO', 'commandstats'))));
    } finally {
      source.connection.close();
    }
  }

  #noteSilentDatabases(counts: CommandCounts): void {
    const { endpoint, listener } = this.#options;
    const [command] = carriedOut(this.#kind.silentOnDatabases, this.#counts, counts);
    this.#counts = counts;
    if (command === undefined) return;
    listener.everything(endpoint.db, `the source carried out ${command.toUpperCase()}`);
  }

  async #noteSilentKeys(
    counts: CommandCounts,
    askSource: AskSource,
    signal: AbortSignal,
  ): Promise<void> {
    const { endpoint, listener } = this.#options;
    const before = this.#keyCounts;
    this.#keyCounts = counts;
    const [command] = carriedOut(this.#kind.silentOnKeys(this.#versionNumber), before, counts);
    const [ofGroups] = carriedOut(groupCommands, before, counts);
    if (command !== undefined) {
      listener.everything(endpoint.db, `the source carried out ${command.toUpperCase()}`);
    } else if (ofGroups !== undefined && this.#versionNumber < scansByTypeSince) {
      listener.everything(endpoint.db, `the source carried out ${ofGroups.toUpperCase()}`);
    } else if (ofGroups !== undefined) {
      try {
        await askSource((control) => this.#noteStreams(control, signal));
      } catch (error) {
        // They are still to be reported.
        this.#keyCounts = before;
        throw error;
      }
    }
  }

  async #noteStreams(control: Control, signal: AbortSignal): Promise<void> {
    const { endpoint, listener } = this.#options;
    const source = {
      address: control.address,
      call: (word: unknown, ...args: readonly (string | number | Buffer)[]) =>
        control.callBinary(String(word), ...args),
    };
    for await (const names of listNames(source, pageKeys, ['TYPE', 'stream'])) {
      signal.throwIfAborted();
      for (const name of names) listener.changed(endpoint.db, name.toString('latin1'));
    }
  }
}

async function readCommandStats(control: Control): Promise<string> {
  return String(await control.call('INFO', 'commandstats'));
}

/*
 * How often a source has carried out commands that change keys without a word to those who listen: servers
 * count every command, those of scripts and transactions too (INFO commandstats; `call` in Redis' server.c).
 */

/** By command, in lower case: of all of its subcommands together. */
export type CommandCounts = ReadonlyMap<string, number>;

/** From what INFO commandstats says: `cmdstat_xgroup|create:calls=2,usec=…`. */
export function readCounts(info: string): CommandCounts {
  const counts = new Map<string, number>();
  for (const [, name = '', calls] of info.matchAll(/^cmdstat_([^:|]+)[^:]*:calls=(\d+)/gm)) {
    counts.set(name, (counts.get(name) ?? 0) + Number(calls));
  }
  return counts;
}

/**
 * Which of these commands were carried out between two counts; all, where the counting has begun anew
 * (CONFIG RESETSTAT).
 */
export function carriedOut(
  commands: readonly string[],
  before: CommandCounts,
  after: CommandCounts,
): readonly string[] {
  const isAnew = [...before].some(([name, count]) => (after.get(name) ?? 0) < count);
  if (isAnew) return commands;
  return commands.filter((name) => (after.get(name) ?? 0) > (before.get(name) ?? 0));
}

/*
 * What a source tells of its changes to those who are no replicas, and what it keeps to itself (tried on
 * Redis 2.8 to 8.0 and Valkey 8 and 9).
 *
 * CLIENT TRACKING ON BCAST (Redis 6.0, RESP3) names every key that was changed, expired or evicted, of whatever
 * database; FLUSHALL and FLUSHDB name none.
 *
 * Keyspace notifications name each key, with its database, but nothing where a whole database is emptied;
 * and up to 5.0 nothing for PERSIST and MOVE. They have to be switched on (notify-keyspace-events).
 *
 * Neither tells of SWAPDB, nor of what consumer groups do with a stream.
 */

export interface PushKind {
  readonly name: 'tracking' | 'notifications';
  /** What is told to operators: it completes "… does not tell of". */
  readonly silentOn: string;
  /** Ahead of listening. @throws RefusedError or PreflightError where the source does not have it. */
  prepare(source: SourceConnection, logger: Logger): Promise<void>;
  /** Asks to be told. @throws RefusedError */
  begin(source: SourceConnection, reader: PushReader, db: number): Promise<void>;
  /** Commands that change whole databases silently. */
  readonly silentOnDatabases: readonly string[];
  /** Commands that change keys silently, and which ones can't be found out. */
  readonly silentOnKeys: (versionNumber: number) => readonly string[];
  hear(news: readonly Reply[], db: number, listener: ChangeListener): void;
}

/** They change what a stream's groups have come to. */
const groupCommands: readonly string[] = [
  'xack',
  'xackdel',
  'xautoclaim',
  'xclaim',
  'xgroup',
  'xreadgroup',
  'xsetid',
];

export const tracking: PushKind = {
  name: 'tracking',
  silentOn: 'SWAPDB and of what consumer groups do',
  prepare: () => Promise.resolve(),
  async begin(source, reader) {
    await asked(source, reader, 'HELLO', '3');
    await asked(source, reader, 'CLIENT', 'TRACKING', 'ON', 'BCAST');
  },
  silentOnDatabases: ['swapdb'],
  silentOnKeys: () => [],
  hear([, names], db, listener) {
    if (!Array.isArray(names)) {
      listener.everything(db, 'the source emptied a database');
      return;
    }
    // Its database is not named: a key of the same name in another one is copied once more for nothing.
    for (const name of names) if (Buffer.isBuffer(name)) listener.changed(db, latin1(name));
  },
};

/** Generic commands, strings, lists, sets, hashes, sorted sets, streams, expiry and eviction. */
const neededClasses = ['g', '$', 'l', 's', 'h', 'z', 't', 'x', 'e'];

export const notifications: PushKind = {
  name: 'notifications',
  silentOn: 'FLUSHALL, FLUSHDB, SWAPDB and of what consumer groups do',
  async prepare(source, logger) {
    const address = addressOf(source.endpoint);
    let flags: string;
    try {
      const reply = await ask(source, 'CONFIG', 'GET', 'notify-keyspace-events');
      flags = Array.isArray(reply) ? textOf(reply[1]) : '';
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      logger.warn(
        { reason: error.message },
        `${address} does not tell which keyspace notifications it sends: make sure that its notify-keyspace-events is AKE`,
      );
      return;
    }
    const sends = (flag: string): boolean => flags.includes(flag);
    const sendsAll = sends('A') || neededClasses.every(sends);
    if (sends('E') && sendsAll) return;
    throw new PreflightError(
      `${address} does not send notifications of all changes (its notify-keyspace-events is "${flags}"): CONFIG SET notify-keyspace-events AKE there, or pass another --feed.`,
    );
  },
  async begin(source, reader, db) {
    await asked(source, reader, 'PSUBSCRIBE', `__keyevent@${String(db)}__:*`);
  },
  silentOnDatabases: ['flushall', 'flushdb', 'swapdb'],
  silentOnKeys: (versionNumber) => (versionNumber < 60_000 ? ['persist', 'move'] : []),
  hear([, , , name], db, listener) {
    if (Buffer.isBuffer(name)) listener.changed(db, latin1(name));
  },
};

/** @throws RefusedError */
async function asked(
  source: SourceConnection,
  reader: PushReader,
  command: string,
  ...args: readonly string[]
): Promise<void> {
  const reply = await reader.ask(command, ...args);
  if (reply instanceof ErrorReply) throw refusal(source, command, args, reply.text);
}

function latin1(name: Buffer): string {
  return name.toString('latin1');
}

/*
 * Reads a connection on which a server says things unasked: answers to what was asked go to whoever asked,
 * in order, and everything else is news.
 *
 * In RESP3 news is a push; to a subscriber it is a list that begins with the kind of news.
 */

const kindsOfNews = new Set(['invalidate', 'message', 'pmessage']);
/** A push names all keys of a turn of the server's event loop. */
const mostBytes = 256 * 1024 * 1024;

interface Question {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export class PushReader implements Reader {
  readonly done = false;
  readonly #connection: Connection;
  #questions: Question[] = [];
  #reader: ReplyReader | undefined;

  /**
   * From now on nobody else may read this connection.
   * @param news is given lists that begin with the kind of news.
   */
  constructor(
    connection: Connection,
    readonly news: (words: readonly Reply[]) => void,
  ) {
    this.#connection = connection;
    connection.expect(this);
  }

  get idle(): boolean {
    return this.#questions.length === 0;
  }

  /** @throws ConnectionError when the connection is lost before the answer has come. */
  ask(...words: readonly Word[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const { lost } = this.#connection;
      if (lost) {
        reject(lost);
        return;
      }
      this.#questions.push({ resolve, reject });
      this.#connection.out.append(command(...words));
    });
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end) {
      this.#reader ??= new ReplyReader(
        (reply) => {
          this.#take(reply);
        },
        () => undefined,
        mostBytes,
        true,
      );
      const next = this.#reader.take(bytes, at, end);
      if (this.#reader.done) this.#reader = undefined;
      if (next === at) break;
      at = next;
    }
    return at;
  }

  fail(error: Error): void {
    for (const { reject } of this.#questions.splice(0)) reject(error);
  }

  #take(reply: Reply): void {
    if (Array.isArray(reply) && kindsOfNews.has(textOf(reply[0]))) this.news(reply);
    else this.#questions.shift()?.resolve(reply);
  }
}
