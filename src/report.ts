/**
 * What a run ended with: for scripts as JSON, for people as text.
 * The names in `Report` are public; scripts rely on them.
 */
import { compareNames } from './format.js';
import type {
  FailureCause,
  FailureClass,
  FollowStatus,
  KeyFailure,
  MoverName,
  TallySnapshot,
} from './types.js';

export interface Report {
  /** Complete: every key arrived. Incomplete: some are left, each accounted for. */
  readonly status: 'complete' | 'incomplete' | 'interrupted' | 'failed';
  /** `host:port/db` of each source. */
  readonly from: readonly string[];
  /** `host:port` of the seed. */
  readonly to: string;
  /** dry-run: counted only, nothing was moved. */
  readonly mode: 'move' | 'copy' | 'follow' | 'dry-run';
  readonly mover: MoverName;
  readonly moverReason: string;
  readonly keys: {
    readonly scanned: number;
    /** Now in the cluster through this run. */
    readonly moved: number;
    /** Vanished from the source by themselves. */
    readonly gone: number;
    /** Left alone on both sides. */
    readonly conflicting: number;
    readonly failed: number;
  };
  readonly bytes: number;
  readonly durationMs: number;
  /** While it was not paused. */
  readonly keysPerSecond: number;
  readonly nodes: readonly {
    readonly address: string;
    readonly keys: number;
    readonly bytes: number;
  }[];
  /** The first hundred. */
  readonly failures: readonly ReportedFailure[];
  /** All that was left behind, by what kept it, the most frequent first; only when something was. */
  readonly causes?: readonly ReportedCause[];
  readonly retries: number;
  readonly redirects: number;
  /**
   * Keys that stay at the source, and may be in the cluster as well, because the run gave them up between the two; only
   * when there are some.
   */
  readonly onBothSides?: number;
  readonly version: string;
  /** When it began and when it ended, ISO 8601. */
  readonly startedAt: string;
  readonly endedAt: string;
  /** How long it was paused; only when it was. */
  readonly pausedMs?: number;
  /** The highest rate that a second or two had; null: it was too short to tell. */
  readonly peakKeysPerSecond?: number | null;
  /** The longest that a client of the source waited; null: nobody measured it. */
  readonly longestSourceLatencyMs?: number | null;
  /** How clients of the source were spared: --max-source-latency, and what it cost. */
  readonly sparing?: Sparing;
  /** How many keys the servers hold, and held at the first start of the job. */
  readonly held?: Held;
  /** What the runs of the job account for, all together. */
  readonly accounted?: Accounted;
  /** The command that comes next, ready to be pasted; only when there is one. */
  readonly next?: string;
  /** The sources held no key at all, so that there was nothing to do; only then. */
  readonly empty?: true;
  /** What the run was warned of; only when there was something. */
  readonly warnings?: readonly string[];
  /** What each of several sources came to; only when there are several. */
  readonly sources?: readonly ReportedSource[];
  /** Keys that nodes evicted while the run lasted, whoever's they were; only when some did. */
  readonly evicted?: readonly { readonly address: string; readonly keys: number }[];
  /** Only of a dry run. */
  readonly found?: Found;
  /** What `--functions` brought along; only when it was asked for. */
  readonly functions?: { readonly libraries: readonly string[]; readonly masters: number };
  /** What earlier runs of the same job had done when they were cut short; only when it went on. */
  readonly earlier?: { readonly runs: number; readonly moved: number };
  /** How the source was followed; only with `--follow`. */
  readonly follow?: Pick<
    FollowStatus,
    'feed' | 'changes' | 'copiedAgain' | 'deleted' | 'gaps' | 'lagMs' | 'cutover'
  >;
  /** Why the run stopped midway, and how to go on; only when it failed. */
  readonly error?: string;
  /** A file could not be read to its end, and the same command would stop there again. */
  readonly unreadable?: true;
}

/** Numbers of keys by the servers' own count; null: it is not known. */
export interface Held {
  readonly sources: { readonly atStart: number | null; readonly now: number | null };
  readonly cluster: { readonly atStart: number | null; readonly now: number | null };
}

export interface Accounted {
  readonly keys: number;
  /** Keys of the sources at the first start; null: not all of them were to be taken, or nobody knows. */
  readonly of: number | null;
  /** Runs of the job, this one included. */
  readonly runs: number;
}

/** One source's part. */
export interface ReportedSource extends Pick<
  Report,
  'status' | 'mover' | 'moverReason' | 'keys' | 'bytes' | 'error'
> {
  /** `host:port/db` */
  readonly from: string;
}

/** What a dry run found. Its `nodes` say how many keys each would get. */
export interface Found {
  /** Keys of each type, as TYPE names them. */
  readonly types: Readonly<Record<string, number>>;
  /** Keys that the cluster has already. */
  readonly present: number;
  /** Keys whose name another source has too, give or take some in a thousand; only with several. */
  readonly shared?: number;
}

export interface ReportedKey {
  readonly key: string;
  /** Keys that are not valid UTF-8 are written as base64. */
  readonly keyEncoding: 'utf8' | 'base64';
}

export interface ReportedFailure extends ReportedKey {
  /** `host:port/db`; only when there are several sources. */
  readonly from?: string;
  readonly class: FailureClass;
  readonly message: string;
}

/** Keys that were left behind for one and the same reason. */
export interface ReportedCause {
  /** `host:port/db`; only when there are several sources. */
  readonly from?: string;
  readonly class: FailureClass;
  /** The message of the first of them. */
  readonly message: string;
  readonly count: number;
  /** The first few. */
  readonly examples: readonly ReportedKey[];
}

/** What the tally does not know of a run. */
export interface RunEnd extends Pick<
  Report,
  'from' | 'to' | 'mode' | 'mover' | 'moverReason' | 'version'
> {
  readonly endedAtMs: number;
  readonly warnings?: readonly string[];
  readonly functions?: Report['functions'] | undefined;
  readonly earlier?: Report['earlier'] | undefined;
  readonly evicted?: Report['evicted'] | undefined;
  readonly sources?: Report['sources'] | undefined;
  readonly found?: Found | undefined;
  readonly follow?: FollowStatus | undefined;
  /** The sources held no key at the start. */
  readonly isEmpty?: boolean;
  readonly held?: Held | undefined;
  readonly accounted?: Accounted | undefined;
  readonly next?: string | undefined;
  readonly extremes?: Extremes | undefined;
  /** Starting it again would end the same. */
  readonly isFinal?: boolean;
  /** How it was cut short, if it was. */
  readonly cut?: 'interrupted' | { readonly error: string } | undefined;
}

/** A run was held to what keeps clients of its source from waiting. */
export interface Sparing {
  /** What they might wait, as it was last. */
  readonly limitMs: number;
  /** It was so while others were at work there (`auto`), and not because of a number that was given. */
  readonly forOthers: boolean;
  /** For how long. */
  readonly durationMs: number;
  /** Meanwhile, and without it; null: that was for no second. */
  readonly keysPerSecond: number | null;
  readonly otherwiseKeysPerSecond: number | null;
}

/** What only those know who have watched all of it. */
export interface Extremes {
  readonly pausedMs: number;
  readonly peakKeysPerSecond: number | null;
  readonly longestSourceLatencyMs: number | null;
  /** How the source's clients were spared; undefined: they never were. */
  readonly sparing: Sparing | undefined;
}

export function buildReport(snapshot: TallySnapshot, end: RunEnd): Report {
  const { scanned, gone, conflicting, failed } = snapshot;
  const { endedAtMs, cut, version, earlier, functions, sources, found, warnings = [] } = end;
  const { from, to, mode, mover, moverReason, evicted, follow } = end;
  const { held, accounted, next, extremes } = end;
  // A dry run counts keys as it comes by them.
  const moved = mode === 'dry-run' ? 0 : snapshot.moved;
  const durationMs = Math.max(0, Math.round(endedAtMs - snapshot.startedAtMs));
  const activeMs = durationMs - Math.round(extremes?.pausedMs ?? 0);
  return {
    status: statusOf(snapshot, cut),
    from,
    to,
    mode,
    mover,
    moverReason,
    keys: { scanned, moved, gone, conflicting, failed },
    bytes: snapshot.bytes,
    durationMs,
    keysPerSecond: activeMs <= 0 ? 0 : Math.round((moved * 1000) / activeMs),
    nodes: snapshot.nodes
      .map(({ address, keys, bytes }) => ({ address, keys, bytes }))
      .sort((a, b) => compareNames(a.address, b.address)),
    failures: snapshot.failures.map(reportedFailure),
    ...(snapshot.causes.length > 0 && {
      causes: reportedCauses(snapshot.causes, end.from.length > 1),
    }),
    retries: snapshot.retries,
    redirects: snapshot.redirects,
    ...(snapshot.onBothSides > 0 && { onBothSides: snapshot.onBothSides }),
    version,
    startedAt: new Date(snapshot.startedAtMs).toISOString(),
    endedAt: new Date(endedAtMs).toISOString(),
    ...(extremes && {
      ...(extremes.pausedMs > 0 && { pausedMs: Math.round(extremes.pausedMs) }),
      peakKeysPerSecond: rounded(extremes.peakKeysPerSecond),
      longestSourceLatencyMs: rounded(extremes.longestSourceLatencyMs),
      ...(extremes.sparing && { sparing: extremes.sparing }),
    }),
    ...(held && { held }),
    ...(accounted && { accounted }),
    ...(next !== undefined && { next }),
    ...(end.isEmpty === true && isDone(snapshot, cut) && { empty: true as const }),
    ...(warnings.length > 0 && { warnings }),
    ...(sources && { sources }),
    ...(evicted && { evicted }),
    ...(found && { found }),
    ...(follow && { follow: followReport(follow) }),
    ...(functions && { functions }),
    ...(earlier && { earlier }),
    ...(typeof cut === 'object' && { error: cut.error }),
    ...(end.isFinal === true && { unreadable: true as const }),
  };
}

function rounded(count: number | null): number | null {
  return count === null ? null : Math.round(count);
}

function followReport(status: FollowStatus): NonNullable<Report['follow']> {
  const { feed, changes, copiedAgain, deleted, gaps, lagMs, cutover } = status;
  return { feed, changes, copiedAgain, deleted, gaps, lagMs, cutover };
}

/** Nothing was found, and nothing has stopped it. */
function isDone({ scanned }: TallySnapshot, cut: RunEnd['cut']): boolean {
  return scanned === 0 && cut === undefined;
}

export function statusOf(snapshot: TallySnapshot, cut: RunEnd['cut']): Report['status'] {
  if (cut === 'interrupted') return 'interrupted';
  if (cut !== undefined) return 'failed';
  return snapshot.conflicting + snapshot.failed === 0 ? 'complete' : 'incomplete';
}

/** A failure in JSON's terms. */
export function reportedFailure({
  key,
  class: failureClass,
  message,
}: KeyFailure): ReportedFailure {
  return { ...reportedKey(key), class: failureClass, message };
}

function reportedCauses(causes: readonly FailureCause[], several: boolean): ReportedCause[] {
  return causes.map(({ from, class: why, message, count, examples }) => ({
    ...(several && { from }),
    class: why,
    message,
    count,
    examples: examples.map(reportedKey),
  }));
}

/** A key in JSON's terms. */
export function reportedKey(key: Buffer): ReportedKey {
  const text = key.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(key);
  return isText
    ? { key: text, keyEncoding: 'utf8' }
    : { key: key.toString('base64'), keyEncoding: 'base64' };
}
