/** What is found out about each master of the target cluster before the start. */
import { ConnectionError, messageOf, PreflightError } from '../errors.js';
import { type Control, withControl } from '../redis/control.js';
import { type MemoryFacts, readMemory } from '../redis/memory.js';
import { readServerFacts, type ServerFacts } from '../redis/server.js';
import { type ClusterTopology, type NodeLine, parseNodes } from '../redis/topology.js';
import type { Node } from '../types.js';
import { modulesOf } from './payloads.js';
import { checkNodeRights, type RightsOptions } from './rights.js';

export interface MasterFacts extends ServerFacts {
  readonly node: Node;
  readonly keys: number;
  /** Whether a source may log in as we do for its MIGRATE. */
  readonly takesMigrate: boolean;
  readonly modules: ReadonlySet<string>;
  /** The longest argument that it takes (proto-max-bulk-len), where it may be asked; else the usual one. */
  readonly largestBytes: number;
  readonly memory: MemoryFacts;
}

/** What servers take in one argument unless they are told otherwise. */
export const usualLargestBytes = 512 * 1024 * 1024;

/** @throws PreflightError when it can't be reached, or does not let us store keys. */
export async function readMaster(
  node: Node,
  topology: ClusterTopology,
  options: RightsOptions,
): Promise<MasterFacts> {
  const { timeoutMs } = options;
  const endpoint = topology.endpointOf(node);
  try {
    return await withControl(endpoint, { side: 'to', timeoutMs }, async (control) => {
      const facts = await readServerFacts(control);
      return {
        ...facts,
        node,
        keys: Number(await control.call('DBSIZE')),
        takesMigrate: await checkNodeRights(endpoint, facts.replicasInSync, options),
        modules: await modulesOf(control),
        largestBytes: await readLargestBytes(control),
        memory: await readMemory(control),
      };
    });
  } catch (error) {
    const words = messageOf(error);
    const way =
      error instanceof ConnectionError
        ? ` If it is reached elsewhere from here, pass --nat ${node.address}=host:port.`
        : '';
    throw new PreflightError(`The cluster announces a master at ${node.address}. ${words}${way}`, {
      cause: error,
    });
  }
}

/** A server that gets a longer one than that hangs up, and whatever was on its way is lost with it. */
export async function readLargestBytes(control: Control): Promise<number> {
  const reply = await control.call('CONFIG', 'GET', 'proto-max-bulk-len').catch(() => undefined);
  const bytes = Number(Array.isArray(reply) ? reply[1] : undefined);
  return bytes > 0 ? Math.min(bytes, usualLargestBytes) : usualLargestBytes;
}

/** What the seed says of all nodes of the cluster; undefined where it may not be asked. */
export async function readNodes(seed: Control): Promise<readonly NodeLine[] | undefined> {
  const text = await seed.call('CLUSTER', 'NODES').catch(() => undefined);
  return typeof text === 'string' ? parseNodes(text, seed.endpoint.host) : undefined;
}
