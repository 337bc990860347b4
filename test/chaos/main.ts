/**
 * `npm run test:chaos -- --rounds 200 --seed 1`: rounds of an import between servers that fail, while
 * clients use both sides. Afterwards every write that was acknowledged must be found once: at the
 * source or in the cluster, with its value and its TTL within a second.
 *
 * - Writers (writer.ts) know the source only, and make keys anew there after they were moved.
 * - Clients of both sides (clients.ts) work as an application does that is switched over gradually:
 *   on some keys at the source until they are gone there, and then in the cluster; on others in the
 *   cluster as soon as they are there. They never make a key anew.
 *
 * Two rounds are played at a time (`--jobs`), each on servers of its own: rounds mostly wait, and
 * with three the servers of one make those of the other time out on two cores. `--no-evict` leaves
 * out the nodes that evict keys.
 *
 * With `--workers 2` a round has two sources, each with keys of its own, and the import a process for each:
 * `--workers` of the command. Faults hit either source, and the processes as well (`kill-worker`). What is
 * promised is the same. Rounds with `--replace` are none of these, since the command refuses that.
 *
 * A round that went wrong is played again by its own seed: `--rounds 1 --seed <its seed> --trace`.
 * The seed gives the faults, their order, and after how many writes each comes; how the programs run
 * between them is the machine's affair, so it may take a seed some rounds to fail again.
 *
 * What is wrong: lost (an acknowledged write is nowhere), doubled (a job that was done is there again,
 * or a key on both sides without a word in the report), undone (an acknowledged removal or XACK is
 * back). What can't be promised, and is counted instead:
 *
 * - recreated, diverged, conflict: keys that the last report names as left on both sides. Each side
 *   must have what was acknowledged there. A writer has made them anew at the source, or clients have
 *   written to both copies; after a run was killed, the next one can't tell what was its own copy.
 * - stale: a run is cut off between storing a key and deleting it, and the key is written before it
 *   is looked at again. Nobody can tell then whether the cluster's copy is what was moved of it
 *   before, so it is not overwritten: the source's copy is whole, both stay, and are reported. The
 *   stale copy's TTL may be that of another moment than its value.
 * - ghosts: the same, but the key is deleted at the source. The copy in the cluster outlives it,
 *   because the next run finds nothing at the source that would lead to it.
 * - Two copies that became equal, by value and TTL, are one after a run was cut off: a counter that
 *   was moved as 1 and then made anew as 1 is 1 in the cluster. Within a run that nothing
 *   interrupted, that is a loss.
 * - A list that runs empty in the cluster before its key has left the source is filled again by the
 *   next run, if the one before was cut off. So clients leave an element there in such rounds.
 * - What servers lose by themselves, which is why they write to disk before they answer, or the
 *   import waits for a replica, and why a shard's nodes fail one at a time (servers.ts, plan.ts).
 *
 * Stale copies and ghosts are wrong in rounds of one source in which nothing was cut off. With several, the
 * copy of a key that its clients delete in that moment stays: another source may rely on it.
 */
import { parseArgs } from 'node:util';
import { playRounds } from './rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    /** Of the first round; the next ones count on. */
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /** Moves keys without the guard, which must not go well. */
    'no-guard': { type: 'boolean', default: false },
    /** Fails unless something was lost: shows that this suite can. */
    'expect-loss': { type: 'boolean', default: false },
    /** No node evicts keys. */
    'no-evict': { type: 'boolean', default: false },
    /** As many sources, and processes of the import; 1: one source, and one process. */
    workers: { type: 'string', default: '1' },
    /** How many rounds are played at the same time. */
    jobs: { type: 'string', default: '2' },
    /** Prints what happens, as it happens. */
    trace: { type: 'boolean', default: false },
  },
});

// The servers are stopped when this process exits, and only then.
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

const totals = await playRounds({
  seeds: Array.from({ length: Number(values.rounds) }, (_, at) => Number(values.seed) + at),
  jobs: Number(values.jobs),
  evict: !values['no-evict'],
  workers: Number(values.workers),
  flags: values['no-guard'] ? ['--no-guard'] : [],
  say: (line) => {
    console.log(line);
  },
  trace: (event) => {
    if (values.trace) console.log(`    ${event}`);
  },
});
const failed = values['expect-loss'] ? totals.lost === 0 : totals.failedSeeds.length > 0;
process.exitCode = failed ? 1 : 0;
