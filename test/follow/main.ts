/**
 * `npm run test:follow -- --rounds 200 --seed 1`: rounds of a run with --follow between servers that fail, while
 * writers write, first at the source and then in the cluster. Afterwards the cluster must hold what every
 * acknowledged write has left, and nothing else.
 *
 * Each key has one writer, which does one thing after the other: so what a key must hold is known, and read
 * anew only after a write without an answer, which was carried out or not (writer.ts). What a writer does may
 * touch several keys, in a transaction, or in a script that names none of them (deeds.ts); whole databases are
 * emptied and swapped (faults.ts).
 *
 * Faults happen while the keys are copied for the first time, while the source is followed, and while the
 * cutover is tried, which is asked for until it comes. The writers go over when the source refuses a write, or
 * when `--on-cutover` tells them.
 *
 * What can't be promised, and does not happen in a round (plan.ts):
 *
 * - A source that dies once writers have gone over takes writes again when it is back.
 * - A run that is killed while `--on-cutover` switches the clients over goes on with the source.
 * - What servers lose by themselves (test/chaos/main.ts).
 *
 * Two rounds are played at a time (`--jobs`), each on servers of its own. A round that went wrong is played
 * again by its own seed: `--rounds 1 --seed <its seed> --trace`. The seed gives the faults, their order, and after
 * how many writes each comes; how the programs run between them is the machine's affair.
 */
import { parseArgs } from 'node:util';
import type { FeedName } from '../../src/types.js';
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
    /** How changes are learnt: auto, replication, tracking, notifications or none. */
    feed: { type: 'string', default: 'auto' },
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
  feed: values.feed as FeedName | 'auto',
  say: (line) => {
    console.log(line);
  },
  trace: (event) => {
    if (values.trace) console.log(`    ${event}`);
  },
});
process.exitCode = failedSeeds.length > 0 ? 1 : 0;
