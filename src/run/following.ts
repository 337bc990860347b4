/** Puts the following of one source together: its feed, what was changed, the rounds, the cutover. */
import { PreflightError } from '../errors.js';
import type { Feed } from '../feed/feed.js';
import { NoFeed } from '../feed/no-feed.js';
import { openFeed } from '../feed/open-feed.js';
import { ChangedKeys } from '../follow/changed-keys.js';
import { NodeWatch } from '../follow/node-watch.js';
import { fenceFor, leftBefore, letWrite, mayRefuseWrites } from '../follow/fence.js';
import { Follower } from '../follow/follower.js';
import { FollowedSource, type Round } from '../follow/followed-source.js';
import { strays } from '../follow/strays.js';
import { UnmovedKeys } from '../follow/unmoved-keys.js';
import { temporaryPrefix } from '../movers/elements/temporary.js';
import type { Limits } from '../limits/limits.js';
import type { FollowOptions, PatienceOptions } from '../options.js';
import type { Ready } from '../preflight/preflight.js';
import { connect, type Connection } from '../redis/connection.js';
import { type Control, openControl } from '../redis/control.js';
import { locate } from '../redis/sentinel.js';
import type {
  FeedPosition,
  FenceName,
  FollowCheckpoint,
  FollowStatus,
  Logger,
  Mover,
  Node,
  Source,
  Tally,
} from '../types.js';

const lookEveryMs = 1000;

export interface FollowingOptions {
  readonly ready: Ready;
  readonly options: FollowOptions & PatienceOptions;
  readonly limits: Pick<Limits, 'page'>;
  readonly logger: Logger;
  /** Whether an earlier run of the job has copied keys. */
  readonly goesOn: boolean;
  /** From where its changes are heard of; undefined: nobody knows what has changed since. */
  readonly resumeAt: FollowCheckpoint | undefined;
  openSource(): Promise<Connection>;
  readonly tell: (sentence: string) => void;
  readonly warn: (sentence: string) => void;
}

export class Following {
  readonly source: FollowedSource;
  readonly #given: FollowingOptions;
  readonly #changed = new ChangedKeys();
  readonly #unmoved = new UnmovedKeys(this.#changed);
  readonly #nodes: NodeWatch;
  #feed: Feed | undefined;
  /** Where the feed was when the present round took what waited. */
  #roundAt: FeedPosition | undefined;
  #checkpoint: FollowCheckpoint | undefined;
  #follower: Follower | undefined;
  /** How long the last pass over all keys took, where nobody tells of changes. */
  #passMs: number | undefined;

  constructor(first: Source, given: FollowingOptions) {
    this.#given = given;
    this.#nodes = new NodeWatch(
      {
        topology: given.ready.target.topology,
        connectNode: (node) => this.#connectNode(node),
      },
      given.resumeAt?.datasets,
    );
    this.source = new FollowedSource(first, {
      changed: this.#changed,
      isCopied: given.resumeAt !== undefined,
      roundBegins: () => {
        this.#roundAt = this.#feed?.position;
      },
      pageKeys: () => given.limits.page(),
      strays: () =>
        strays({
          topology: given.ready.target.topology,
          connectNode: (node) => this.#connectNode(node),
          openSource: () => given.openSource(),
          isTemporary: (name) =>
            name.toString('latin1', 0, temporaryPrefix.length) === temporaryPrefix,
        }),
      roundEnded: (round) => {
        this.#noteCheckpoint();
        this.#follower?.roundEnded(round);
        this.#endPass(round);
      },
    });
  }

  /** Undefined until the feed has been joined. */
  get status(): FollowStatus | undefined {
    return this.#follower?.status;
  }

  /** Undefined until the first copy is complete. */
  get checkpoint(): FollowCheckpoint | undefined {
    return this.#checkpoint;
  }

  get follower(): Follower | undefined {
    return this.#follower;
  }

  /**
   * Joins the feed: from then on no change is missed.
   * @throws PreflightError in one sentence; nothing was moved then.
   */
  async join(): Promise<void> {
    const { ready, options, logger, goesOn, resumeAt } = this.#given;
    const { endpoint } = ready.source;
    const changed = this.#changed;
    const fence = await this.#openFence();
    const nodesWhy = await this.#nodes.look();
    const feed = await openFeed({
      name: options.feed,
      endpoint,
      listener: {
        changed(db, name) {
          if (db === endpoint.db) changed.note(name);
        },
        everything(db, why) {
          if (db !== undefined && db !== endpoint.db) return;
          logger.info({ why }, 'all keys are compared again');
          changed.noteEverything(why);
        },
      },
      logger,
      timeoutMs: options.timeoutMs,
      retryForMs: options.retryForMs,
      resumeAt: resumeAt?.position,
      mayLook: () => this.#follower?.phase === 'following',
      warn: this.#given.warn,
    });
    this.#feed = feed;
    if (feed.position) this.#checkpoint = resumeAt;
    else if (resumeAt) changed.noteEverything('nobody has told of what has changed since');
    if (nodesWhy !== undefined) changed.noteEverything(nodesWhy);
    // All keys are copied once more, but for those that were deleted since the earlier run.
    if (goesOn && !resumeAt) changed.noteStrays();
    feed.ended.catch((error: unknown) => {
      this.source.fail(error as Error);
      void this.#follower?.end('the source was lost');
    });
    this.#follower = new Follower({
      source: this.source,
      changed,
      feed,
      fence,
      openControl: () => this.#openControl(),
      maxHoldMs: options.maxHoldMs,
      onCutover: options.onCutover,
      isAutomatic: options.cutover === 'auto',
      clusterKeys: () => this.#nodes.countKeys(),
      lookAtNodes: () => this.#nodes.look(),
      unmoved: this.#unmoved,
      logger,
      tell: this.#given.tell,
      warn: this.#given.warn,
    });
  }

  /** The same mover, none of whose failures is for good. */
  retrying(mover: Mover): Mover {
    return this.#unmoved.retrying(mover);
  }

  /** Follows while this works. @param work the pipeline over `source`. */
  async during(work: () => Promise<void>, tally: Tally, signal: AbortSignal): Promise<void> {
    const stop = (): void => {
      this.source.end();
      void this.#follower?.end('the run was stopped');
    };
    tally.onBatch(({ outcome }) => {
      const deleted = outcome.deleted ?? 0;
      this.#follower?.noteCopies(Math.max(0, outcome.repeated - deleted), deleted);
    });
    const looking = setInterval(() => {
      // A node that does not answer now is looked at the next time, and before the cutover.
      this.#lookAtNodes().catch(() => undefined);
    }, lookEveryMs);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop);
    try {
      await work();
    } finally {
      clearInterval(looking);
      signal.removeEventListener('abort', stop);
      await this.#follower?.end('the run ended');
    }
  }

  close(): void {
    this.#unmoved.close();
    this.#feed?.close();
    this.#nodes.close();
  }

  /** Where nobody tells of changes, the end of one pass over all keys begins the wait for the next. */
  #endPass({ keys, tookMs }: Round): void {
    if (!(this.#feed instanceof NoFeed) || !this.source.isCopied) return;
    if (this.#passMs === undefined || keys === Infinity) {
      this.#passMs = tookMs;
      this.#feed.passEnded(tookMs);
    }
  }

  /** What waited when the round began is where it should be, and so is what was heard of before. */
  #noteCheckpoint(): void {
    const position = this.#roundAt;
    if (!position || !this.source.isCopied || this.#unmoved.count > 0) return;
    if (!this.#changed.isOfFeed) return;
    this.#checkpoint = { position, datasets: this.#nodes.datasets };
  }

  async #lookAtNodes(): Promise<void> {
    const why = await this.#nodes.look();
    if (why === undefined) return;
    this.#given.logger.info({ why }, 'all keys are compared again');
    this.#changed.noteEverything(why);
  }

  #connectNode(node: Node): Promise<Connection> {
    const { ready, options } = this.#given;
    return connect(ready.target.topology.endpointOf(node), { timeoutMs: options.timeoutMs });
  }

  /** Finds out how writes can be held, while nothing has been copied. */
  async #openFence(): Promise<FenceName> {
    const { ready, options, goesOn, warn } = this.#given;
    const control = await this.#openControl();
    try {
      const left = await leftBefore(control);
      // After a cutover clients of the cluster have written there since: what the source has is old.
      if (left === 'shut' || (left === 'held' && !goesOn)) {
        throw new PreflightError(
          `${control.address} refuses writes, as a cutover leaves it: the cluster has taken over. Set its min-replicas-to-write to 0 if it is to be followed once more, by an empty cluster.`,
        );
      }
      if (left === 'held') {
        await letWrite(control);
        warn(`${control.address} refused writes, as the earlier run had left it: they go on.`);
      }
      if (!(await mayRefuseWrites(control))) {
        warn(
          `${control.address} does not let us make it refuse writes after the cutover (CONFIG SET min-replicas-to-write): its clients have to be kept off.`,
        );
      }
      return fenceFor(options.fence, ready.source.versionNumber);
    } finally {
      control.close();
    }
  }

  async #openControl(): Promise<Control> {
    const { ready, options } = this.#given;
    const { timeoutMs } = options;
    return openControl(await locate(ready.source.endpoint, timeoutMs), { side: 'from', timeoutMs });
  }
}
