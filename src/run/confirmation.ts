/**
 * How `--verify` compares what has arrived: as the verb `verify` does it, over connections of its own,
 * because on the others values pass through.
 */
import { createSizes } from '../movers/elements/sizes.js';
import type { Apart, Confirmation } from '../movers/relay/confirmed.js';
import type { ImportOptions } from '../options.js';
import type { Ready } from '../preflight/preflight.js';
import { chosen, keyAt, namesOf } from '../redis/keys.js';
import { doubtful } from '../verify/batch.js';
import { createBudget } from '../verify/budget.js';
import { openCluster } from '../verify/cluster.js';
import { examine } from '../verify/examine.js';
import { createServer } from '../verify/server.js';
import { createStructures } from '../verify/structures.js';
import { forEach } from '../verify/sweep.js';

/** What the source may be asked for at one time. */
const askedBytes = 4 * 1024 * 1024;
const looksAtOnce = 16;
const toleranceMs = 1000;

export function confirmation({ source, target }: Ready, options: ImportOptions): Confirmation {
  const { timeoutMs, retryForMs } = options;
  const patience = { timeoutMs, retryForMs };
  const here = createServer(source.endpoint, source.name, patience);
  const cluster = openCluster(target.topology, patience);
  const budget = createBudget(askedBytes);
  const fieldDeadlines = source.has.hpexpiretime;
  const comparing = {
    ...{ expires: true, toleranceMs, fast: false, budget },
    sizes: createSizes({
      ...{ limitBytes: askedBytes, ofStrings: true },
      memoryUsage: source.has.memory,
    }),
    structures: createStructures({ budget, fieldDeadlines }),
  };
  const never = new AbortController().signal;

  return {
    async apart({ node, asking }, keys) {
      const places = [...Array(keys.count).keys()];
      const ends = {
        source: await here.connection(),
        node: await cluster.serverOf(node).connection(),
      };
      // A slot that is on its way is asked for where redirections lead.
      const { small, large } = asking
        ? { small: places, large: [] }
        : await doubtful(ends, keys, comparing);
      const found: Apart[] = [];
      const doubts = [...small, ...large];
      const [some, names] = [chosen(keys, doubts), chosen(namesOf(keys), doubts)];
      await forEach(doubts, never, looksAtOnce, async (place, at) => {
        const look = { source: here, cluster, toleranceMs, fast: false };
        const key = keyAt(some, at);
        const difference = await examine(key, look, keyAt(names, at));
        if (typeof difference !== 'object') return;
        found.push({ place, what: difference.message });
      });
      return found;
    },
    close() {
      here.close();
      cluster.close();
    },
  };
}
