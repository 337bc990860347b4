/** How many replicas of a node must have a key before the source deletes it. */
import type { ImportOptions } from '../options.js';

/**
 * By default one, where the node has one that follows: a node alone can't promise anything.
 * @param inSync how many follow the node.
 */
export function replicasToWaitFor(inSync: number, options: ImportOptions): number {
  if (options.copy) return 0;
  return options.waitReplicas ?? Math.min(1, inSync);
}

/** Whether what a node stores is to be on its disk as well. */
export function waitsForDisks(options: ImportOptions): boolean {
  return options.waitFsync && !options.copy;
}
