/**
 * How `--verify` compares what has arrived: as the verb `verify` does it, over connections of its own,
 * because on the others values pass through.
 */
import { createFirstPass } from '../compare/many.js';
import type { Confirmation, Difference } from '../movers/relay/verify-before-delete.js';
import type { PatienceOptions } from '../options/options.js';
import type { SourcePlan } from '../plan/preflight.js';
import { deadlineToleranceMs } from '../redis/deadline.js';
import { chosen, keyAt, namesOf } from '../redis/keys.js';
import { createServer, openCluster } from '../verify/servers.js';
import { examine } from '../verify/look.js';
import { forEach } from '../verify/sweep.js';

const looksAtOnce = 16;

export function confirmation(
  { source, target }: SourcePlan,
  options: PatienceOptions,
): Confirmation & { close(): void } {
  const { timeoutMs, retryForMs } = options;
  const patience = { timeoutMs, retryForMs };
  const here = createServer(source.endpoint, source.name, patience);
  const cluster = openCluster(target.topology, patience);
  const firstPass = createFirstPass({ memoryUsage: source.has.memory });
  const look = { source: here, cluster, toleranceMs: deadlineToleranceMs, fast: false };
  const never = new AbortController().signal;

  return {
    async differences({ node, asking }, keys, isTemporary) {
      const indexes = [...Array(keys.count).keys()];
      const ends = {
        source: await here.connection(),
        node: await cluster.serverOf(node).connection(),
      };
      // A slot that is on its way is asked for where redirections lead.
      const { small, large } = asking
        ? { small: indexes, large: [] }
        : await firstPass.suspects(ends, keys, { expires: !isTemporary });
      const found: Difference[] = [];
      const suspects = [...small, ...large];
      const [some, names] = [chosen(keys, suspects), chosen(namesOf(keys), suspects)];
      await forEach(suspects, never, looksAtOnce, async (index, at) => {
        const difference = await examine(keyAt(some, at), look, keyAt(names, at));
        if (typeof difference !== 'object') return;
        if (isTemporary && difference.kind === 'ttl') return;
        found.push({ index, what: difference.message });
      });
      return found;
    },
    close() {
      here.close();
      cluster.close();
    },
  };
}
