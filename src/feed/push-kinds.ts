/**
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
import { PreflightError, RefusedError } from '../errors.js';
import { addressOf } from '../redis/endpoint.js';
import { ErrorReply, type Reply, textOf, type Reader, ReplyReader } from '../redis/reply.js';
import type { Logger } from '../types.js';
import type { ChangeListener } from './feed.js';
import { ask, refusal, type SourceConnection } from './source-commands.js';
import type { Connection } from '../redis/connection.js';
import { command } from '../redis/frames.js';
import type { Word } from '../redis/ask.js';

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
export const groupCommands: readonly string[] = [
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
