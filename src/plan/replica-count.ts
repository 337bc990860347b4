/**
 * Whether each node can have as many replicas as `--wait-replicas` asks for. Where one has too few, no batch would
 * ever be confirmed, and the run would try again until it gives up.
 */
import { PreflightError } from '../errors.js';
import { addressOf } from '../redis/endpoint.js';
import type { NodeLine } from '../redis/topology.js';
import { replicasToWaitFor, type WaitOptions } from './options-checks.js';

/**
 * @param nodes by what the seed says.
 * @throws PreflightError where one has too few.
 */
export function checkReplicaCount(nodes: readonly NodeLine[], options: WaitOptions): void {
  const wanted = replicasToWaitFor(0, options);
  const found = wanted === 0 ? undefined : tooFewReplicas(nodes, wanted);
  if (found === undefined) return;
  const { address, replicas } = found;
  const has = `${replicas === 0 ? 'no' : String(replicas)} replica${replicas > 1 ? 's' : ''}`;
  throw new PreflightError(
    `--wait-replicas ${String(wanted)} can't be kept, as ${address} has ${has}: give each master as many by CLUSTER REPLICATE, or leave it out, which waits for one where there is one.`,
  );
}

const unsettled = ['fail', 'fail?', 'handshake', 'noaddr'];

/**
 * @returns the first master with fewer replicas than are wanted; undefined: none, or it is not known. What fails, or
 *   has no slots, may be about to become a replica, as old masters do after a failover.
 */
export function tooFewReplicas(
  lines: readonly NodeLine[],
  wanted: number,
): { readonly address: string; readonly replicas: number } | undefined {
  const isUnsettled = lines.some(
    ({ flags, masterId, slots }) =>
      unsettled.some((flag) => flags.has(flag)) || (masterId === undefined && slots.length === 0),
  );
  if (isUnsettled) return undefined;
  return lines
    .filter(({ masterId }) => masterId === undefined)
    .map(({ id, place }) => ({
      address: addressOf(place),
      replicas: lines.filter(({ masterId }) => masterId === id).length,
    }))
    .find(({ replicas }) => replicas < wanted);
}
