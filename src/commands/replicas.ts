/** How many replicas must have a key before the source deletes it. */
import type { ImportOptions } from '../options.js';
import type { MasterFacts } from './master-facts.js';
import type { Ready } from './preflight.js';

/** By default one, where the node has one that follows: a node alone can't promise anything. */
export function replicasToWaitFor(master: MasterFacts | undefined, options: ImportOptions): number {
  if (options.copy) return 0;
  return options.waitReplicas ?? Math.min(1, master?.replicasInSync ?? 0);
}

/** Whether any node's replicas, or a disk, are to be waited for. */
export function waitsForReplicas(ready: Ready, options: ImportOptions): boolean {
  const { masters } = ready.target;
  return (
    (options.waitFsync && !options.copy) ||
    masters.some((master) => replicasToWaitFor(master, options) > 0)
  );
}
