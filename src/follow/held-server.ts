/** What a cutover does at one server: its writes are held and let go over connections of its own. */
import type { Feed } from '../feed/feed.js';
import { keysOfDatabase } from '../redis/server.js';
import { createFence, type Fence } from './fence.js';
import type { FollowedDatabase } from './followed-database.js';
import type { FollowedServer } from './followed-server.js';
import { SourceLine } from './source-line.js';

/** Of what came late, no more are looked for. */
const mostLateKeys = 1000;

export class HeldServer {
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
