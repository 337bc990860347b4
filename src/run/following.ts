/** Puts the following of one source together: its feed, what was changed, the rounds, the cutover. */
import { messageOf, PreflightError, RefusedError } from '../errors.js';
import type { Feed } from '../feed/feed.js';
import { NoFeed } from '../feed/no-feed.js';
import { openFeed } from '../feed/open-feed.js';
import { effectsOnlySince, passOnEffects, type ScriptEffects } from '../feed/script-effects.js';
import { ChangedKeys } from '../follow/changed-keys.js';
import { NodeWatch } from '../follow/node-watch.js';
import {
  canPause,
  fenceFor,
  leftBefore,
  letWrite,
  mayRefuseWrites,
  type SourceFence,
} from '../follow/fence.js';
import { Follower } from '../follow/follower.js';
import { FollowedSource } from '../follow/followed-source.js';
import { openSideDoor, type SideDoor } from '../follow/side-door.js';
import { strays } from '../follow/strays.js';
import { UnmovedKeys } from '../follow/unmoved-keys.js';
import { temporaryPrefix } from '../movers/elements/temporary.js';
import type { Limits } from '../limits/limits.js';
import type { FollowOptions, PatienceOptions } from '../options.js';
import type { Ready } from '../preflight/preflight.js';
import { connect, type Connection } from '../redis/connection.js';
import { type Control, openControl } from '../redis/control.js';
import type { Endpoint } from '../redis/endpoint.js';
import { locate } from '../redis/sentinel.js';
import type {
  FeedPosition,
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
  readonly limits: Pick<Limits, 'page' | 'lift'>;
  readonly logger: Logger;
  /** Whether an earlier run of the job has copied keys. */
  readonly goesOn: boolean;
  /** From where its changes are heard of; undefined: nobody knows what has changed since. */
  readonly resumeAt: FollowCheckpoint | undefined;
  openSource(): Promise<Connection>;
  /** Closes the connections to the source: others are opened as they are needed. */
  renewSource(): void;
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
  #door: SideDoor | undefined;
  #scripts: ScriptEffects['putBack'];
  #isWarnedOfScripts = false;

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
        if (this.#feed instanceof NoFeed && round.keys === Infinity) {
          this.#feed.passEnded(round.tookMs);
        }
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

  /** By which a source is read that holds all of its clients; undefined: it holds none. */
  get sideDoor(): Endpoint | undefined {
    return this.#door?.endpoint;
  }

  /**
   * Joins the feed: from then on no change is missed.
   * @throws PreflightError in one sentence; nothing was moved then.
   */
  async join(): Promise<void> {
    const fence = await this.#openFence();
    try {
      await this.#listen(fence);
    } catch (error) {
      await this.#putBackScripts();
      throw error;
    }
  }

  async #listen(fence: SourceFence): Promise<void> {
    const { ready, options, logger, goesOn, resumeAt } = this.#given;
    const { endpoint } = ready.source;
    const changed = this.#changed;
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
      prepare: () => this.#passOnEffects(),
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
      fence: this.#besides(feed, fence),
      openControl: () => this.#openControl(this.sideDoor),
      enterBySideDoor: () => this.#enterBySideDoor(),
      leaveSideDoor: () => {
        this.#leaveSideDoor();
      },
      liftLimits: (isLifted) => {
        this.#given.limits.lift(isLifted);
      },
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
      await this.#putBackScripts();
    }
  }

  close(): void {
    this.#unmoved.close();
    this.#feed?.close();
    this.#nodes.close();
    this.#door?.close();
  }

  async #enterBySideDoor(): Promise<void> {
    this.#door = await openSideDoor(
      this.#given.ready.source.endpoint,
      this.#given.options.timeoutMs,
    );
    this.#given.renewSource();
  }

  #leaveSideDoor(): void {
    const door = this.#door;
    this.#door = undefined;
    this.#given.renewSource();
    door?.close();
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
  async #openFence(): Promise<SourceFence> {
    const { goesOn, warn } = this.#given;
    return this.#withControl(async (control) => {
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
      return this.#chooseFence();
    });
  }

  async #passOnEffects(): Promise<void> {
    if (this.#given.ready.source.versionNumber >= effectsOnlySince) return;
    await this.#withControl(async (control) => {
      const { putBack, why } = await passOnEffects(control, this.#given.ready.source);
      this.#scripts ??= putBack;
      if (why === undefined || this.#isWarnedOfScripts) return;
      this.#isWarnedOfScripts = true;
      this.#given.warn(
        `${control.address} passes scripts on as they were called (${why}), and which keys they write to is not known: each one makes all keys be compared again. Let none run when the cutover is to come.`,
      );
    });
  }

  async #putBackScripts(): Promise<void> {
    const words = this.#scripts;
    if (!words) return;
    this.#scripts = undefined;
    try {
      await this.#withControl((control) => control.call(...words));
    } catch (error) {
      this.#given.warn(
        `The source could not be told ${words.join(' ')}, as it was before: ${messageOf(error)}`,
      );
    }
  }

  async #chooseFence(): Promise<SourceFence> {
    const { ready, options } = this.#given;
    const { versionNumber, endpoint } = ready.source;
    const fence = fenceFor(options.fence, versionNumber);
    if (!fence.holdsAll) return fence;
    if (!canPause(versionNumber)) {
      throw new PreflightError(
        `Redis ${ready.source.version} can't hold writes: CLIENT PAUSE came with 3.0. Pass --fence refuse.`,
      );
    }
    const door = await openSideDoor(endpoint, options.timeoutMs);
    try {
      (await this.#openControl(door.endpoint)).close();
      return fence;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return this.#refuseInstead(
        `Before 6.2 a source that holds writes holds all of its clients but those that have asked for MONITOR, which it refuses (${error.reply})`,
        'allow it, or pass another --fence',
      );
    } finally {
      door.close();
    }
  }

  /** Who hears of changes as a client does is held with all of them. */
  #besides(feed: Feed, fence: SourceFence): SourceFence {
    if (!fence.holdsAll || feed.kind === 'replication' || feed.kind === 'none') return fence;
    return this.#refuseInstead(
      `Before 6.2 a source that holds writes holds all clients, --feed ${feed.kind} among them`,
      'pass --fence refuse',
    );
  }

  /** @throws PreflightError where a pause was asked for. */
  #refuseInstead(why: string, wayOut: string): SourceFence {
    const { ready, options, warn } = this.#given;
    if (options.fence === 'pause') throw new PreflightError(`${why}: ${wayOut}.`);
    warn(`${why}: writes are refused at the cutover instead, and scripts are not up to 5.0.`);
    return fenceFor('refuse', ready.source.versionNumber);
  }

  async #withControl<T>(work: (control: Control) => Promise<T>): Promise<T> {
    const control = await this.#openControl();
    try {
      return await work(control);
    } finally {
      control.close();
    }
  }

  async #openControl(door?: Endpoint): Promise<Control> {
    const { ready, options } = this.#given;
    const { timeoutMs } = options;
    return openControl(door ?? (await locate(ready.source.endpoint, timeoutMs)), {
      side: 'from',
      timeoutMs,
    });
  }
}
