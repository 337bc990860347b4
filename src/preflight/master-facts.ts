/** What is found out about each master of the target cluster before the start. */
import { ConnectionError, PreflightError } from '../errors.js';
import type { ImportOptions } from '../options.js';
import { type Control, openControl } from '../redis/control.js';
import { readServerFacts, type ServerFacts } from '../redis/server.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Node } from '../types.js';
import { modulesOf } from './modules.js';
import { checkNodeRights } from './rights.js';

export interface MasterFacts extends ServerFacts {
  readonly node: Node;
  readonly keys: number;
  /** Whether a source may log in as we do for its MIGRATE. */
  readonly takesMigrate: boolean;
  readonly modules: ReadonlySet<string>;
}

/** @throws PreflightError when it can't be reached, or does not let us store keys. */
export async function readMaster(
  node: Node,
  topology: ClusterTopology,
  options: ImportOptions,
): Promise<MasterFacts> {
  const { timeoutMs } = options;
  const endpoint = topology.endpointOf(node);
  try {
    const control = await openControl(endpoint, { side: 'to', timeoutMs });
    try {
      const facts = await readServerFacts(control);
      return {
        ...facts,
        node,
        keys: Number(await control.call('DBSIZE')),
        takesMigrate: await checkNodeRights(endpoint, facts.replicasInSync, options),
        modules: await modulesOf(control),
      };
    } finally {
      control.close();
    }
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const way =
      error instanceof ConnectionError
        ? ` If it is reached elsewhere from here, say --nat ${node.address}=host:port.`
        : '';
    throw new PreflightError(`The cluster announces a master at ${node.address}. ${words}${way}`, {
      cause: error,
    });
  }
}

/** The ids of all of a cluster's nodes; undefined where they may not be asked for. */
export async function readNodeIds(control: Control): Promise<ReadonlySet<string> | undefined> {
  const text = await control.call('CLUSTER', 'NODES').catch(() => undefined);
  if (typeof text !== 'string') return undefined;
  return new Set(
    text
      .split('\n')
      .flatMap((line) => line.split(' ', 1))
      .filter(Boolean),
  );
}
