/** Looks at everything after a round: each key in the cluster must be what its writer was promised. */
import type { Run } from '../chaos/importer.js';
import { clusterInventory, isUnexpected, unexpectedEnd } from '../chaos/inspection.js';
import type { Servers } from '../chaos/servers.js';
import { stateText } from '../chaos/verdict.js';
import { hasTakenOver } from './runs.js';
import { isFound } from './writer.js';
import type { PlacedWriter } from './writers.js';

export interface Inspection {
  readonly keys: number;
  /** The cluster lacks an acknowledged write. */
  readonly lost: number;
  /** The cluster has what was deleted, or never written. */
  readonly tooMuch: number;
  /** Everything that is wrong, in words; empty: the round went well. */
  readonly complaints: readonly string[];
}

export async function inspect(
  servers: Servers,
  writers: readonly PlacedWriter[],
  runs: readonly Run[],
): Promise<Inspection> {
  const contradictions = writers.flatMap(({ writer }) => writer.contradictions);
  const { all: cluster, twice } = await clusterInventory(servers);
  const nowMs = Date.now();
  const complaints = [...contradictions, ...twice];
  let keys = 0;
  let lost = contradictions.length;
  let tooMuch = twice.length;
  const unknown = new Set(cluster.keys());
  for (const { writer, nameOf } of writers) {
    for (const [key, wanted] of writer.book) {
      keys++;
      unknown.delete(nameOf(key));
      const found = cluster.get(nameOf(key));
      if (isFound(found, wanted, nowMs)) continue;
      if (wanted) lost++;
      else tooMuch++;
      const events = writer.eventsOf(key).map((event) => `\n      ${event}`);
      complaints.push(
        `${key} is ${stateText(found)} in the cluster instead of ${stateText(wanted)}${events.join('')}`,
      );
    }
  }
  tooMuch += unknown.size;
  for (const key of unknown) {
    complaints.push(`${key} was never written, and is ${stateText(cluster.get(key))}`);
  }
  complaints.push(...runs.filter(isUnexpected).map(unexpectedEnd), ...wrongEnd(runs.at(-1)));
  return { keys, lost, tooMuch, complaints };
}

function wrongEnd(last: Run | undefined): readonly string[] {
  if (!last) return ['nothing has been run'];
  if (hasTakenOver(last)) return [];
  const { code, report, stderr } = last;
  if (code !== 0) {
    return [`the last run ended with ${String(code)}: ${report?.error ?? stderr}`];
  }
  const { cutover = null } = report?.follow ?? {};
  if (report?.status !== 'complete' || cutover === null) return ['the report knows no cutover'];
  if (cutover.lateWrites > 0 || cutover.source !== 'refuses writes') {
    return [`the source was left open: ${JSON.stringify(cutover)}`];
  }
  return [];
}
