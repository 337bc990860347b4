/**
 * `npm run test:follow -- --rounds 200 --seed 1`: rounds of a run with --follow between servers that fail, while
 * writers write, first at its sources and then in the cluster. Afterwards the cluster must hold what every
 * acknowledged write has left, and nothing else.
 *
 * A round has one source, several servers that stand alone, or the masters of a cluster (`--sources`, else the seed
 * says), which are followed by the feed that it draws (`--feed`). They share one cutover. Names of several sources
 * are distinct, or get a prefix, by which a run can go on where the one before was stopped.
 *
 * Each key has one writer, which does one thing after the other: so what a key must hold is known, and read
 * anew only after a write without an answer, which was carried out or not (writer.ts). What a writer does may
 * touch several keys, in a transaction, or in a script that names none of them (deeds.ts); at a cluster these are keys
 * of one slot, and there are no scripts. Whole databases are emptied and swapped (faults.ts).
 *
 * With `--queue` the run is a coordinator, and workers follow the sources (queue.ts).
 *
 * Faults happen while the keys are copied for the first time, while the source is followed, and while the
 * cutover is tried, which is asked for until it comes. Where it is refused because another master has taken over in
 * a source cluster, the run is stopped, and the same command given again, as the refusal says. The writers go over when
 * the source refuses a write, or when `--on-cutover` tells them.
 *
 * What can't be promised, and does not happen in a round (plan.ts):
 *
 * - A source that dies once writers have gone over takes writes again when it is back; one that is replaced then is
 *   replaced by one that takes writes.
 * - A run that is killed while `--on-cutover` switches the clients over goes on with the source.
 * - What servers lose by themselves (test/chaos/main.ts). In a source cluster a replica may take over at any time,
 *   and lacks what has not reached it. So a write there counts once WAIT says that a replica has it, and what is read
 *   after a write without an answer counts once a replica has as much (sides.ts): a loss of anything else would be the
 *   source's own.
 *
 * Two rounds are played at a time (`--jobs`), each on servers of its own. A round that went wrong is played
 * again by its own seed: `--rounds 1 --seed <its seed> --trace`. The seed gives the faults, their order, and after
 * how many writes each comes; how the programs run between them is the machine's affair.
 */
import { parseArgs } from 'node:util';
import type { PlanOptions } from './plan.js';
import { playRounds } from './rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    /** Of the first round; the next ones count on. */
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /** How many rounds are played at the same time. */
    jobs: { type: 'string', default: '2' },
    /** Moves large values element by element, in every other round. */
    split: { type: 'boolean', default: false },
    /** How changes are learnt: auto, replication, tracking, notifications or none; any: as the seed has it. */
    feed: { type: 'string', default: 'any' },
    /** What is followed: one, several or cluster; any: as the seed has it. */
    sources: { type: 'string', default: 'any' },
    /** How many processes follow; a round of one source has one. */
    workers: { type: 'string', default: '1' },
    /** Workers take the sources from a queue, whose Redis is restarted, too. */
    queue: { type: 'boolean', default: false },
    /** Prints what happens, as it happens. */
    trace: { type: 'boolean', default: false },
  },
});

// The servers are stopped when this process exits, and only then.
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

const { failedSeeds } = await playRounds({
  seeds: Array.from({ length: Number(values.rounds) }, (_, at) => Number(values.seed) + at),
  jobs: Number(values.jobs),
  splits: values.split,
  feed: values.feed as NonNullable<PlanOptions['feed']>,
  sources: values.sources as NonNullable<PlanOptions['sources']>,
  workers: Number(values.workers),
  queue: values.queue,
  say: (line) => {
    console.log(line);
  },
  trace: (event) => {
    if (values.trace) console.log(`    ${event}`);
  },
});
process.exitCode = failedSeeds.length > 0 ? 1 : 0;
