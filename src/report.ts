/**
 * What a run ended with: for scripts as JSON, for people as text.
 * The names in `Report` are public; scripts rely on them.
 */
import type { FailureClass, KeyFailure, MoverName, TallySnapshot } from './types.js';

export interface Report {
  /** Complete: every key arrived. Incomplete: some are left, each accounted for. */
  readonly status: 'complete' | 'incomplete' | 'interrupted' | 'failed';
  /** `host:port/db` of each source. */
  readonly from: readonly string[];
  /** `host:port` of the seed. */
  readonly to: string;
  readonly mode: 'move' | 'copy';
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
  readonly keysPerSecond: number;
  readonly nodes: readonly {
    readonly address: string;
    readonly keys: number;
    readonly bytes: number;
  }[];
  /** The first hundred. */
  readonly failures: readonly ReportedFailure[];
  readonly retries: number;
  readonly redirects: number;
  readonly version: string;
  /** What the run was warned of; only when there was something. */
  readonly warnings?: readonly string[];
  /** What `--functions` brought along; only when it was asked for. */
  readonly functions?: { readonly libraries: readonly string[]; readonly masters: number };
  /** What earlier runs of the same job had done when they were cut short; only when it went on. */
  readonly earlier?: { readonly runs: number; readonly moved: number };
  /** Why the run stopped midway, and how to go on; only when it failed. */
  readonly error?: string;
}

export interface ReportedKey {
  readonly key: string;
  /** Keys that are not valid UTF-8 are written as base64. */
  readonly keyEncoding: 'utf8' | 'base64';
}

export interface ReportedFailure extends ReportedKey {
  readonly class: FailureClass;
  readonly message: string;
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
  /** How it was cut short, if it was. */
  readonly cut?: 'interrupted' | { readonly error: string } | undefined;
}

export function buildReport(snapshot: TallySnapshot, end: RunEnd): Report {
  const { scanned, moved, gone, conflicting, failed } = snapshot;
  const { endedAtMs, cut, version, earlier, functions, warnings = [], ...identity } = end;
  const durationMs = Math.max(0, Math.round(endedAtMs - snapshot.startedAtMs));
  return {
    status: statusOf(snapshot, cut),
    ...identity,
    keys: { scanned, moved, gone, conflicting, failed },
    bytes: snapshot.bytes,
    durationMs,
    keysPerSecond: durationMs === 0 ? 0 : Math.round((moved * 1000) / durationMs),
    nodes: snapshot.nodes
      .map(({ address, keys, bytes }) => ({ address, keys, bytes }))
      .sort((a, b) => a.address.localeCompare(b.address, 'en', { numeric: true })),
    failures: snapshot.failures.map(reportedFailure),
    retries: snapshot.retries,
    redirects: snapshot.redirects,
    version,
    ...(warnings.length > 0 && { warnings }),
    ...(functions && { functions }),
    ...(earlier && { earlier }),
    ...(typeof cut === 'object' && { error: cut.error }),
  };
}

function statusOf(snapshot: TallySnapshot, cut: RunEnd['cut']): Report['status'] {
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

/** A key in JSON's terms. */
export function reportedKey(key: Buffer): ReportedKey {
  const text = key.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(key);
  return isText
    ? { key: text, keyEncoding: 'utf8' }
    : { key: key.toString('base64'), keyEncoding: 'base64' };
}
