/**
 * The glossary. Sources, movers and the engine know each other only by these words.
 * No runtime code stands here.
 */

/** Who made a server, or wrote a file. */
export type Product = 'Redis' | 'Valkey';

/**
 * Some keys as they stand on the wire: RESP bulk strings (`$3\r\nfoo\r\n`), one behind the other.
 * The same bytes serve as the arguments of MGET, MIGRATE, UNLINK and EVAL, so they are
 * written as they are and never made into strings.
 */
export interface Keys {
  /** The frames, back to back from offset 0. */
  readonly bytes: Buffer;
  /** Frame `i` is `bytes[starts[i] .. starts[i + 1])`; holds `count + 1` offsets (or more). */
  readonly starts: Uint32Array;
  readonly count: number;
  /** The names that they get in the cluster, one for each; undefined: they keep theirs. */
  readonly names?: Keys | undefined;
  /**
   * Where a source brings values along: one run of bytes for each key, written by the source for the
   * mover that belongs to it, and passed on unread by all others.
   */
  readonly values?: Keys | undefined;
}

/** Keys that a source hands out at one time. */
export interface Page extends Keys {
  /**
   * What is meant by them, where they are not just the next ones of a listing:
   *
   *   urgent  the source waits until these are on their way: they are not kept until a batch is full
   *   rest    taken only once everything that is under way has come to rest: the next page is asked for then
   *   lull    the same, but what is held up by a node that is sick (HeldUp) is set aside, and given back
   *   again   their copies may be outdated, and they are copied once more, whatever was listed before. Each
   *           key stands there once, and a page that is taken after rest, or after a lull, stands ahead of them.
   *           Those that are held up are given back
   */
  readonly intent?: 'urgent' | 'rest' | 'lull' | 'again' | undefined;
}

/** Which keys may not be copied now, while a source is followed: it is told by whoever takes its pages. */
export interface HeldUp {
  /** Whether any batch is under way. */
  readonly any: boolean;
  /** Whether keys of this slot were under way at the last lull, or belong to a node that is sick. */
  has(slot: number): boolean;
}

/** A master of the target cluster, under the address that the cluster announces. */
export interface Node {
  /** `host:port` (`[v6]:port`), which is how it is named in logs, metrics and the report. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
}

/** Which node owns which slot, as last heard from the cluster. */
export interface Topology {
  /** Every master heard of so far. A node keeps its index for the whole run. */
  readonly nodes: readonly Node[];
  /** For each of the 16,384 slots the index of its owner in `nodes`. */
  readonly owners: Uint16Array;
  /** The node at an address that the cluster named; one that owns no slot yet may be new to us. */
  nodeAt(address: string): Node;
  /**
   * Asks the cluster again; calls made while one is under way share its answer.
   * @throws TargetError when no node answers or slots are uncovered.
   */
  refresh(): Promise<void>;
}

/** Where keys come from. */
export interface Source {
  /** `host:port/db`, as the report names it. */
  readonly name: string;
  /**
   * Every key at least once; pages may be empty, and a key may stand on several.
   * @param heldUp tells a source that is followed which keys would be given back now.
   */
  pages(heldUp?: HeldUp): AsyncIterable<Page>;
  /** How many keys there were when `pages` began (an estimate while clients write). */
  readonly estimatedKeys: number;
  /** How many keys `pages` will give, about; undefined: nobody knows. */
  readonly expectedKeys?: number | undefined;
  /** How much of the present pass has been listed, 0 to 1. */
  readonly progress: number;
  /** How much of it an earlier run had listed: this one began there. Undefined: nothing. */
  readonly earlierShare?: number | undefined;
  /**
   * Whether `pages` can be called again. Where not, keys bring their values along, and what a node does not
   * take now is waited for.
   */
  readonly isReplayable: boolean;
  /** Pages go on as long as the source is followed: no later pass finds what a node does not take now. */
  readonly isFollowed?: boolean | undefined;
  /**
   * How many keys the source has now, which tells whether another pass is worth it. Undefined: it keeps the
   * keys that are copied, or lists only some.
   */
  readonly remaining?: (() => Promise<number>) | undefined;
  /** A source that is followed has to hand these keys out once more: they could not be copied now. */
  readonly giveBack?: ((keys: Keys) => void) | undefined;
  /** These keys will not be tried any more: what the source keeps for them may go. */
  readonly release?: ((keys: Keys) => void) | undefined;
}

/** Where a scan stands: every key before it has been handed out. */
export interface ScanPosition {
  readonly cursor: string;
  /** The server's run_id: after a restart its cursors mean nothing any more. */
  readonly server: string;
}

/**
 * What this run knows of the copy that a key may have at its node:
 *
 *   unknown        nothing: what is there under its name was there before
 *   may-be-stored  the node was lost before it answered for the key
 *   stored         the node has acknowledged it, and the source still had the key then
 *   may-be-moved   the source was lost while it deleted the key, or an earlier run was killed then
 *   moved          the source has acknowledged in this run that it deleted the key
 */
export type CopyState = 'unknown' | 'may-be-stored' | 'stored' | 'may-be-moved' | 'moved';

/** All keys of a batch share it. What was stored of each key may stand in `Keys.values`. */
export interface Copy {
  readonly state: CopyState;
  /** The run_id of the source that had the keys then; undefined: nobody knows. */
  readonly sourceRun?: string | undefined;
  /**
   * The connection over which a node acknowledged the keys, and the node. As long as the same
   * data set answers there, what it lacks was deleted by its clients.
   */
  readonly storedOver?: { readonly lost: Error | undefined; readonly dataset: string } | undefined;
  readonly storedAt?: Node | undefined;
  /** Its replicas or disks have confirmed the keys: whoever takes the node's place has them too. */
  readonly isDurable?: boolean | undefined;
}

/**
 * When a key was listed: for the first time; for the first time by this run, and moved (or about to be) by
 * an earlier one; or again by this run.
 */
export type Listing = 'first' | 'moved-earlier' | 'again';

/** Keys of one owning node, bounded by count and by bytes. */
export interface Batch {
  readonly node: Node;
  readonly keys: Keys;
  /**
   * Every key here was (by all that the run's bounded record can tell) listed before in this run, and
   * what was begun with it then has come to rest.
   */
  readonly listedBefore: boolean;
  readonly copy: Copy;
  /** How many times these keys have gone round already: 0 at first. */
  readonly attempt: number;
  /** In how many of the attempts before somebody wrote to them at the source. */
  readonly changes: number;
  /** The node said ASK: it takes these keys only right after ASKING. */
  readonly asking: boolean;
}

/** `count` moves nothing: it is what `--dry-run` takes. */
export type MoverName = 'relay' | 'migrate' | 'restore' | 'count';

/** By which mover a run goes; `auto`: both can work, and what they do is measured. */
export type MoverChoice = 'relay' | 'migrate' | 'auto';

/** How the keys of a batch get to their node, and off the source in move mode. */
export interface Mover {
  readonly name: MoverName;
  /** Failures are data. Rejects only when the mover's connections are beyond repair. */
  move(batch: Batch): Promise<Outcome>;
}

/** Why a key was not moved; also the `class` label of `cluster_import_errors_total`. */
export type FailureClass =
  | 'conflict' // the cluster has the key with another value
  | 'recreated' // moved by this run, then written again at the source
  | 'diverged' // changed in the cluster since it was copied, and at the source as well
  | 'changing' // its value changed each time it was read
  | 'differs' // what arrived is not what was sent (--verify)
  | 'oom' // the node is at maxmemory
  | 'unavailable' // the node could not be reached, or refused writes, for too long
  | 'redirected' // the slot kept moving
  | 'version' // the node does not take the payload's version
  | 'permission' // ACL
  | 'too-large'
  | 'source' // the source could not be read
  | 'other';

/** What became of one key that did not move. */
export interface KeyFailure {
  readonly key: Buffer;
  readonly class: FailureClass;
  /** One sentence, with the server's words where it said some. Never holds a value or a secret. */
  readonly message: string;
}

/** Keys that were left behind for one and the same reason. */
export interface FailureCause {
  /** Which source's keys they are: `host:port/db`. */
  readonly from: string;
  readonly class: FailureClass;
  /** The message of the first of them. */
  readonly message: string;
  readonly count: number;
  /** The first few. */
  readonly examples: readonly Buffer[];
}

/** What a node says of keys that it does not serve (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/). */
export interface Redirect {
  /** `ask`: their slot is on its way, and this try goes there, with ASKING. `moved`: another node owns it. */
  readonly kind: 'ask' | 'moved';
  /** `host:port` as the node wrote it: the host may be missing, or `?`. */
  readonly address: string;
}

/** Keys that go round again, and why. */
export interface Retry {
  readonly keys: Keys;
  /** The error class they count under if they never get through. */
  readonly class: FailureClass;
  readonly message: string;
  /** Set where the node named another one. */
  readonly redirect?: Redirect;
  /** What is known of their copies by now; undefined: no more than before. */
  readonly copy?: Copy;
  /**
   * The words by which the source refuses commands for now, whatever their keys: that is none of the
   * keys' tries.
   */
  readonly refusal?: string;
}

/**
 * What became of a batch: moved + gone + repeated + conflicting + failed + keys to retry = its keys.
 * A few numbers for the batch, not an object for each key.
 */
export interface Outcome {
  /** Now in the cluster through this run (and off the source, unless it copies). */
  readonly moved: number;
  /** Vanished from the source by themselves since they were listed. */
  readonly gone: number;
  /** Listed again after this run had moved them; counted already. */
  readonly repeated: number;
  /** Copies that were deleted because their keys are at the source no more: `gone` or `repeated` as well. */
  readonly deleted?: number | undefined;
  /** Left alone on both sides. */
  readonly conflicting: number;
  readonly failed: number;
  /** Value bytes that reached the node (keys and TTLs not counted). */
  readonly bytes: number;
  /** Those of the keys that go round again. */
  readonly retries: readonly Retry[];
  /** One for each conflicting and each failed key. */
  readonly failures: readonly KeyFailure[];
}

/** What a batch's end looks like to those who watch: plain JSON, whichever process it came to its end in. */
export interface BatchEvent {
  readonly mover: MoverName;
  /** `host:port` */
  readonly node: string;
  readonly durationMs: number;
  /** How many keys failed, conflicted or go round again, by class. */
  readonly troubles: readonly (readonly [FailureClass, keys: number])[];
  /** As in the outcome. */
  readonly repeated: number;
  readonly deleted: number;
}

/** The run in numbers, at one moment. */
export interface TallySnapshot {
  readonly startedAtMs: number;
  readonly scanned: number;
  readonly moved: number;
  readonly gone: number;
  readonly conflicting: number;
  readonly failed: number;
  readonly bytes: number;
  /** Keys that went round again, counted each time. */
  readonly retries: number;
  /** Of those, because the cluster said that another node owns the slot. */
  readonly redirects: number;
  /** Of a move: keys that stay at the source, and may be in the cluster as well, because the run gave them up midway. */
  readonly onBothSides: number;
  readonly nodes: readonly NodeTally[];
  readonly sources: readonly SourceTally[];
  /** What was left behind and why, the most frequent first. */
  readonly causes: readonly FailureCause[];
  /** The first hundred. */
  readonly failures: readonly KeyFailure[];
  /** The last hundred, in order. */
  readonly latestFailures: readonly KeyFailure[];
  /** Share of the source that was listed, and of what it has that was dealt with, 0 to 1. */
  readonly progress: number;
  /** How much of that an earlier run had done. */
  readonly earlierShare: number;
  /** Keys that are still at the source, as far as the run can tell. */
  readonly sourceKeysLeft: number;
  /** How many keys there are to be dealt with, about; null: nobody knows. */
  readonly expectedKeys: number | null;
}

export interface NodeTally {
  readonly address: string;
  readonly keys: number;
  readonly bytes: number;
  readonly inflightKeys: number;
  /** Keys that this node sent round again, counted each time. */
  readonly retries: number;
  /** Keys that were left behind on their way there, conflicting or failed. */
  readonly unmoved: number;
  readonly health: ServerHealth;
}

/** How far the import of one source is. */
export interface SourceTally {
  /** `host:port/db` */
  readonly name: string;
  readonly moved: number;
  readonly conflicting: number;
  readonly failed: number;
  /** Keys that are still there, as far as the run can tell. */
  readonly keysLeft: number;
  readonly progress: number;
  readonly health: ServerHealth;
}

/**
 * How a server does, as far as the run can tell:
 *
 *   ok        it answers, or was not asked
 *   slow      an answer is owed for longer than a second
 *   away      it is lost, or refuses what it is asked for
 *   given-up  it was away for too long, and is not tried any more
 */
export interface ServerHealth {
  readonly state: 'ok' | 'slow' | 'away' | 'given-up';
  /** In Unix milliseconds; null: it is well. */
  readonly sinceMs: number | null;
  /** One clause, in which the server's words may stand; null: it is well. */
  readonly why: string | null;
}

/** Counts what became of every key; everything that people look at reads it. */
export interface Tally {
  snapshot(): TallySnapshot;
  onBatch(listener: (event: BatchEvent) => void): void;
  onFailure(listener: (failure: KeyFailure) => void): void;
}

/** How the writes of a source's clients are held (follow/fence.ts). */
export type FenceName = 'pause' | 'refuse' | 'none';

/** How changes at a source are learnt of. */
export type FeedName = 'replication' | 'tracking' | 'notifications' | 'none';

/** Where a feed stands: plain data, for the journal. */
export interface FeedPosition {
  /** Names the history of changes that the offset counts in (master_replid; before 4.0 run_id). */
  readonly replicationId: string;
  readonly offset: number;
  /** The database that the stream is in at the offset; -1: nobody knows. */
  readonly db: number;
}

/** From where the next start goes on with following. */
export interface FollowCheckpoint {
  /** Every change up to there is in the cluster. */
  readonly position: FeedPosition;
  /** Which data sets its nodes had then, by address. */
  readonly datasets: Readonly<Record<string, string>>;
}

/** How far a run is that follows its source. */
export type Phase = 'joining' | 'copying' | 'catching-up' | 'following' | 'holding' | 'cut-over';

/** How the following stands; in the report, how it ended. */
export interface FollowStatus {
  readonly phase: Phase;
  readonly feed: string;
  /** Changes that were heard of. */
  readonly changes: number;
  /** Keys that were copied again, counted each time. */
  readonly copiedAgain: number;
  /** Copies that were deleted because the source had deleted the key. */
  readonly deleted: number;
  readonly gaps: number;
  readonly lagMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** How long the oldest change has been waiting now; with the feed lost, at least for how long it has been. */
  readonly lagNowMs: number;
  /** For how long writes have been held, or were for the cutover. */
  readonly heldMs: number;
  /** Keys that wait to be copied again; null: all of them. */
  readonly changedKeys: number | null;
  /** How long writes would be held at present, about; null: nobody knows yet. */
  readonly expectedHoldMs: number | null;
  /** How the last attempt to cut over failed, in one sentence; null: none did. */
  readonly refused: string | null;
  readonly cutover: Cutover | null;
}

export interface Cutover {
  /** When writes were held, ISO 8601. */
  readonly at: string;
  readonly heldMs: number;
  /** How writes were held; of several servers with different fences, all of them. */
  readonly fence: string;
  /** Keys that were written to at the source after the cutover. */
  readonly lateWrites: number;
  readonly source: 'refuses writes' | 'writable';
  /**
   * How many replicas the source wanted for a write before it was made to refuse them, of several servers by address;
   * null: it was not.
   */
  readonly minReplicasToWrite: number | Readonly<Record<string, number>> | null;
  /** What both held then. Keys that have expired, and that nobody has asked for since, may count still. */
  readonly keys: { readonly source: number; readonly cluster: number };
}

/** Where a run says what happens to it: pino's loggers, as far as they are used here. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Values that a source can't keep in memory, by number, until their mover has sent them. */
export interface LargeValues {
  /** The whole payload of a value, piece by piece; may be asked for again. */
  pieces(id: number): AsyncIterable<Buffer>;
  /** It won't be asked for any more. */
  done(id: number): void;
}
