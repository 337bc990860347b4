/** Looks at everything after a round: each key on both sides, and every report. */
import type { Report } from '../../src/report.js';
import type { Run } from './importer.js';
import { inventory } from './inventory.js';
import type { Ledger } from './ledger.js';
import { isOccupant } from './occupant.js';
import { longestStopMs, type Plan } from './plan.js';
import type { State } from './state.js';
import type { Theatre } from './theatre.js';
import { judge, text } from './verdict.js';

export interface Inspection {
  readonly keys: number;
  readonly lost: number;
  readonly doubled: number;
  /** Written again at the source after they were moved, and reported. */
  readonly recreated: number;
  /** Earlier states in the cluster of keys that are whole at the source, and reported. */
  readonly stale: number;
  /** Keys that were deleted at the source while a run had just copied them. */
  readonly ghosts: number;
  /** Everything that is wrong, in words; empty: the round went well. */
  readonly complaints: readonly string[];
}

export async function inspect(
  ledgers: readonly Ledger[],
  theatre: Theatre,
  last: Run,
  runs: readonly Run[],
  plan: Plan,
): Promise<Inspection> {
  const complaints = ledgers.flatMap(({ wonders }) => wonders);
  const source = await inventory(theatre.source.client);
  const { all: cluster, twice } = await clusterInventory(theatre);
  const nowMs = Date.now();
  const counts = {
    keys: 0,
    lost: complaints.length,
    doubled: twice.length,
    recreated: 0,
    stale: 0,
    ghosts: 0,
  };
  complaints.push(...twice);
  let unreplaced = 0;
  const hasStopped = plan.tracks.flat().some(({ kind }) => kind === 'stop-target');
  const lateMs = plan.mover !== 'relay' && hasStopped ? longestStopMs : 0;

  for (const [key, worlds] of ledgers.flatMap(({ keys }) => [...keys])) {
    const there = cluster.get(key);
    const isOccupied = plan.occupied && there !== undefined && isOccupant(key, there);
    const found = { source: source.get(key), cluster: there, isOccupied, lateMs };
    if (isOccupied && found.source) unreplaced++;
    const { verdict, reason, recreated, leftover } = judge(worlds, found, nowMs);
    counts.keys++;
    if (recreated) counts.recreated++;
    if (leftover) counts[leftover === 'stale' ? 'stale' : 'ghosts']++;
    if (verdict === 'right' && !(leftover && plan.strict)) continue;
    counts[verdict === 'lost' ? 'lost' : 'doubled']++;
    complaints.push(
      `${key}: ${reason || `the cluster has a ${leftover ?? ''} copy`}; found at the source: ${text(found.source)}, ` +
        `in the cluster: ${text(found.cluster)}; book: ${JSON.stringify(
          worlds.map(({ alive, moved }) => ({ alive: text(alive), moved: moved.map(text) })),
        )}`,
    );
  }
  // Few: a writer deleted the key as it was listed, and made it anew before it was listed again.
  if (unreplaced > 5 + counts.keys / 50) {
    complaints.push(`${String(unreplaced)} keys were not replaced`);
  }
  complaints.push(...runs.flatMap(({ report }) => (report ? wrongSums(report) : [])));
  complaints.push(
    ...runs.filter(isUnforeseen).map(({ stderr, report }) => report?.error ?? stderr),
  );
  complaints.push(...wrongEnd(last, source.size));
  return { ...counts, complaints };
}

/** What all masters have; a key that two of them have is wrong whatever it holds. */
async function clusterInventory(
  theatre: Theatre,
): Promise<{ all: Map<string, State>; twice: string[] }> {
  const all = new Map<string, State>();
  const twice: string[] = [];
  for (const { client, address } of await theatre.masters()) {
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

/** Only a refusal to begin goes without a report. */
function isUnforeseen({ code, report, stderr }: Run): boolean {
  if (report) return report.error?.includes('unforeseen') === true;
  return (code !== undefined && code !== 2) || /\n {4}at /.test(stderr);
}

function wrongEnd({ code, report, stderr }: Run, left: number): readonly string[] {
  if (code !== 0 && code !== 1) {
    return [`the last run ended with ${String(code)}: ${report?.error ?? stderr}`];
  }
  const { conflicting = 0, failed = 0 } = report?.keys ?? {};
  const open = new Set(report?.failures.map((one) => one.class));
  open.delete('conflict');
  open.delete('recreated');
  if (open.size > 0) return [`the last run could not move keys: ${[...open].join(', ')}`];
  // Keys may expire between the report and our look.
  if (left <= conflicting + failed) return [];
  return [`${String(left)} keys are left, and ${String(conflicting + failed)} were reported`];
}
