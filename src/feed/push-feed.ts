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
import { ImportError } from '../errors.js';
import { listNames } from '../redis/ask.js';
import type { Control } from '../redis/control.js';
import { locate } from '../redis/sentinel.js';
import { textOf } from '../redis/reply.js';
import { parseVersion } from '../redis/server.js';
import { type AskSource, type Feed, FeedLife, type FeedOptions, opened } from './feed.js';
import { groupCommands, type PushKind, PushReader } from './push-kinds.js';
import { ask, connectToSource, type SourceConnection } from './source-commands.js';

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
