/** Looks at everything after a round: each key on both sides, and every report. */
import { readFileSync } from 'node:fs';
import type { Report } from '../../src/report.js';
import type { FaultClass, KeyLedger } from './client-ledger.js';
import { judgeClientKey } from './client-verdict.js';
import type { Interruption } from './faults.js';
import type { Run } from './importer.js';
import { inventory } from './inventory.js';
import type { History, Ledger } from './ledger.js';
import { longestStopMs, type Plan } from './plan.js';
import { isPreexisting, preexistingValue } from './preexisting.js';
import type { Servers } from './servers.js';
import type { State } from './state.js';
import { judge, stateText } from './verdict.js';

export interface Inspection {
  readonly keys: number;
  readonly lost: number;
  readonly doubled: number;
  /** Jobs, entries and members that clients had finished with, and that are back. */
  readonly undone: number;
  /** Keys that the last report names as left on both sides, by what it calls them. */
  readonly recreated: number;
  readonly diverged: number;
  readonly conflict: number;
  /** Keys that nodes evicted, as a run has reported. */
  readonly evicted: number;
  /** Earlier states in the cluster of keys that are whole at the source, and reported. */
  readonly stale: number;
  /** Keys that were deleted at the source while a run had just copied them. */
  readonly ghosts: number;
  /** Everything that is wrong, in words; empty: the round went well. */
  readonly complaints: readonly string[];
}

export interface Played {
  /** Of those who write at the source. */
  readonly ledgers: readonly Ledger[];
  /** Of the clients of both sides. */
  readonly clients?: readonly KeyLedger[];
  readonly servers: Servers;
  readonly runs: readonly Run[];
  readonly plan: Plan;
  /** Keys that the cluster had before the import began. */
  readonly preexisting?: ReadonlySet<string>;
  /** When a run was interrupted by something, or could have been. */
  readonly interruptions: readonly Interruption[];
  /** What the last run has written for `--failed-keys`. */
  readonly failedKeys?: string;
  /** As many keys the nodes have evicted since the round began. */
  readonly evicted?: number;
}

/** What stays on both sides, and is reported. */
export const explained: ReadonlySet<string> = new Set(['conflict', 'recreated', 'diverged']);

/** Some of the latest states of a key. */
function latest(history: History | undefined, most = 8): State[] {
  return history && most > 0 ? [history.state, ...latest(history.earlier, most - 1)] : [];
}

export async function inspect(played: Played): Promise<Inspection> {
  const { ledgers, clients = [], servers, runs, plan, preexisting = new Set() } = played;
  const last = runs.at(-1);
  if (!last) throw new Error('nothing has been run');
  const contradictions = ledgers.flatMap((ledger) => ledger.contradictions);
  const inventories = await Promise.all(servers.sources.map(({ client }) => inventory(client)));
  const source = new Map(inventories.flatMap((one) => [...one]));
  const { all: cluster, twice } = await clusterInventory(servers);
  const reported = reportedKeys(last, played.failedKeys);
  const diverged = divergedKeys(runs);
  const nowMs = Date.now();
  const counts = { keys: 0, lost: 0, doubled: 0, undone: 0, evicted: 0, stale: 0, ghosts: 0 };
  counts.lost = contradictions.length;
  counts.doubled = twice.length;
  const complaints = [...contradictions, ...twice];
  let unreplaced = 0;
  const hasStopped = plan.tracks.flat().some(({ kind }) => kind === 'stop-target');
  const lateMs = plan.mover !== 'relay' && hasStopped ? longestStopMs : 0;
  const calmRuns = runs.filter(
    ({ code, startedMs, endedMs }) =>
      code !== undefined &&
      !played.interruptions.some(({ fromMs, toMs }) => fromMs <= endedMs && startedMs <= toMs),
  );
  // As many keys as the nodes have evicted are excused, and no more.
  let evictable = played.evicted ?? 0;
  function isExcused(): boolean {
    if (evictable === 0) return false;
    evictable--;
    counts.evicted++;
    return true;
  }

  for (const [key, worlds] of ledgers.flatMap(({ keys }) => [...keys])) {
    const there = cluster.get(key);
    const isPreexistingValue =
      preexisting.has(key) && there !== undefined && isPreexisting(key, there);
    const found = {
      key,
      source: source.get(key),
      cluster: there,
      isPreexistingValue,
      calmRuns,
      lateMs,
    };
    if (isPreexistingValue && found.source) unreplaced++;
    const { verdict, reason, leftover, isEvictable } = judge(worlds, found, nowMs);
    counts.keys++;
    if (leftover) counts[leftover === 'stale' ? 'stale' : 'ghosts']++;
    const isOverwritten =
      plan.preexisting === 'kept' && preexisting.has(key) && !isPreexistingValue;
    // What a node has evicted there leaves room for the source's.
    if (isOverwritten && !isExcused()) {
      counts.lost++;
      complaints.push(`${key}: the cluster had it before, and has ${stateText(there)} now`);
    }
    if (verdict === 'right' && !(leftover && plan.leavesNoCopies)) continue;
    if (isEvictable && isExcused()) continue;
    counts[verdict === 'lost' ? 'lost' : 'doubled']++;
    complaints.push(
      `${key}: ${reason || `the cluster has a ${leftover ?? ''} copy`}; found at the source: ${stateText(found.source)}, ` +
        `in the cluster: ${stateText(found.cluster)}; reported: ${reportsOf(key, runs)}; book: ${JSON.stringify(
          worlds.map(({ alive, moved, history, lastWrite }) => ({
            alive: stateText(alive),
            moved: moved.map(stateText),
            last: latest(history).map(stateText),
            lastWrite,
          })),
        )}`,
    );
  }

  for (const ledger of clients) {
    const { key } = ledger;
    const { faults, isGhost } = judgeClientKey(ledger, {
      source: source.get(key)?.value,
      cluster: cluster.get(key)?.value,
      reported: reported.get(key),
      hasDiverged: diverged.has(key),
      preexisting: preexisting.has(key) ? preexistingValue(key) : undefined,
    });
    counts.keys++;
    if (isGhost) counts.ghosts++;
    const wrong =
      isGhost && plan.leavesNoCopies && faults.length === 0
        ? [{ class: 'doubled' as FaultClass, words: `${key}: the cluster has a ghost of it` }]
        : faults;
    const isGone = wrong.every((fault) => fault.class === 'lost') && !cluster.has(key);
    if (wrong.length > 0 && isGone && isExcused()) continue;
    for (const fault of wrong) counts[fault.class]++;
    complaints.push(...wrong.map((fault) => `${fault.class}: ${fault.words}`));
  }

  // Few: a writer deleted the key as it was listed, and made it anew before it was listed again.
  if (plan.preexisting === 'replaced' && unreplaced > 5 + counts.keys / 50) {
    complaints.push(`${String(unreplaced)} keys were not replaced`);
  }
  complaints.push(...runs.flatMap(({ report }) => (report ? wrongSums(report) : [])));
  complaints.push(...runs.filter(isUnexpected).map(unexpectedEnd));
  complaints.push(...wrongEnd(last, source.size));
  if (played.evicted !== undefined && played.evicted > 0)
    complaints.push(...untoldEvictions(played));
  // A later start calls a conflict what the run that knew more of it called otherwise.
  const earlier = runs.flatMap(({ report }) => report?.failures ?? []);
  const classes = new Map(reported);
  for (const { key, class: name } of earlier) {
    if (reported.has(key) && name !== 'conflict' && explained.has(name)) classes.set(key, name);
  }
  const named = (what: string): number =>
    [...classes.values()].filter((one) => one === what).length;
  return {
    ...counts,
    recreated: named('recreated'),
    diverged: named('diverged'),
    conflict: named('conflict'),
    complaints,
  };
}

/** Long enough for a run to have asked the nodes what they had evicted before. */
const startMs = 5000;

/**
 * The runs that must have seen an eviction, and say nothing of it: they had long begun, and went on to
 * their end. The only others that may not know are those of rounds in which a node's counter is lost
 * with it.
 */
function untoldEvictions({ runs, plan, interruptions }: Played): readonly string[] {
  const forgets = plan.tracks.flat().some(({ kind }) => kind === 'kill-target');
  const isTold = runs.some(({ report }) => /evict/i.test(report?.error ?? ''));
  if (forgets || isTold) return [];
  return interruptions
    .filter(({ kind }) => kind === 'evict')
    .flatMap(({ fromMs, toMs }) => {
      const knows = runs.find(
        ({ code, startedMs, endedMs }) =>
          code !== undefined && startedMs + startMs < fromMs && toMs < endedMs,
      );
      return knows
        ? [`keys were evicted, and a run ended with ${String(knows.code)} and no word of it`]
        : [];
    });
}

/** The keys that a run has left on both sides, and what it calls them. */
function reportedKeys(last: Run, file: string | undefined): ReadonlyMap<string, string> {
  const failures = file
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as { key: string; class: string })
    : (last.report?.failures ?? []);
  return new Map(
    failures.filter((one) => explained.has(one.class)).map((one) => [one.key, one.class]),
  );
}

/**
 * The keys that a run before the last has left on both sides, because both had changed. If clients of the
 * cluster deleted their copies afterwards, the next one copied them again, as docs/guarantees.md says.
 */
function divergedKeys(runs: readonly Run[]): ReadonlySet<string> {
  const failures = runs.slice(0, -1).flatMap(({ report }) => report?.failures ?? []);
  return new Set(failures.filter((one) => one.class === 'diverged').map(({ key }) => key));
}

/** What all masters have; a key that two of them have is wrong whatever it holds. */
export async function clusterInventory(
  servers: Servers,
): Promise<{ all: Map<string, State>; twice: string[] }> {
  const all = new Map<string, State>();
  const twice: string[] = [];
  for (const { client, address } of await servers.masters()) {
    for (const [key, state] of await inventory(client)) {
      if (all.has(key)) twice.push(`${key} is on two nodes; one is ${address}`);
      all.set(key, state);
    }
  }
  return { all, twice };
}

function wrongSums({ keys, nodes, status, failures }: Report): readonly string[] {
  const { scanned, moved, gone, conflicting, failed } = keys;
  const accounted = moved + gone + conflicting + failed;
  const finished = status === 'complete' || status === 'incomplete';
  const byNode = nodes.reduce((sum, node) => sum + node.keys, 0);
  const wrong =
    (finished ? scanned !== accounted : scanned < accounted) ||
    byNode !== moved ||
    failures.length !== Math.min(100, conflicting + failed) ||
    (finished && (status === 'complete') !== (conflicting + failed === 0));
  return wrong ? [`a report's sums are wrong: ${JSON.stringify({ status, keys, nodes })}`] : [];
}

export function unexpectedEnd({ code, report, stderr }: Run): string {
  return `a run ended with ${String(code)}: ${report?.error ?? (stderr || 'without a report')}`;
}

/** Only a refusal to begin goes without a report. */
export function isUnexpected({ code, report, stderr }: Run): boolean {
  if (report) return /unforeseen|unexpected/i.test(report.error ?? '');
  return (code !== undefined && code !== 2) || /\n {4}at /.test(stderr);
}

function wrongEnd({ code, report, stderr }: Run, left: number): readonly string[] {
  if (code !== 0 && code !== 1) {
    return [`the last run ended with ${String(code)}: ${report?.error ?? stderr}`];
  }
  const { conflicting = 0, failed = 0 } = report?.keys ?? {};
  const open = report?.failures.filter((one) => !explained.has(one.class)) ?? [];
  const reasons = new Set(open.map((one) => `${one.class} (${one.message})`));
  if (reasons.size > 0) return [`the last run could not move keys: ${[...reasons].join(', ')}`];
  // Keys may expire between the report and our look.
  if (left <= conflicting + failed) return [];
  return [`${String(left)} keys are left, and ${String(conflicting + failed)} were reported`];
}

/** What each run has reported of a key. */
function reportsOf(key: string, runs: readonly Run[]): string {
  const said = runs.map(({ report }) => report?.failures.find((failure) => failure.key === key));
  return said.map((one) => (one ? `${one.class} (${one.message})` : 'nothing')).join(', then ');
}
