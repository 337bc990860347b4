/**
 * One round: a source is filled, a run is killed a few times at random moments, and one more start of
 * the very same command has to complete it: nothing left, nothing lost, every value as it was.
 */
import type { Report } from '../../src/report.js';
import type { Random } from '../support/random.js';
import { fillMixed } from '../support/bulk.js';
import { runCli, startCli } from '../support/cli.js';
import type { TestCluster } from '../support/cluster.js';
import type { Server } from '../support/servers.js';
import { digestOf } from '../support/compare.js';

export interface Theatre {
  readonly source: Server;
  readonly cluster: TestCluster;
}

export interface RoundOptions {
  readonly keys: number;
  readonly mover: 'relay' | 'migrate';
  readonly kills: number;
  readonly random: Random;
}

export interface RoundResult {
  /** Keys that had arrived at each kill. */
  readonly arrivedAtKills: readonly number[];
  /** Keys that were on both sides when the last start began. */
  readonly onBothSides: number;
  readonly report: Report;
  readonly completionMs: number;
}

/** @throws Error that says what is not as it should be. */
export async function playRound(theatre: Theatre, options: RoundOptions): Promise<RoundResult> {
  const { source, cluster } = theatre;
  const { keys, mover, kills, random } = options;
  await Promise.all([source.client.flushall(), cluster.flush()]);
  await fillMixed(source, keys);
  const before = await digestOf([source.client]);
  const words = ['--from', source.address, '--to', cluster.seed, '--mover', mover];
  words.push('--json', '--quiet');

  const arrivedAtKills: number[] = [];
  let stood = keys;
  while (arrivedAtKills.length < kills) {
    // Somewhere in what is left, the very start included: the journal is made then.
    const left = random.int(stood);
    if (!(await killedAt(left))) throw new Error('a run ended before it could be killed');
    stood = await source.client.dbsize();
    arrivedAtKills.push(keys - stood);
  }
  const onBothSides = (await cluster.size()) + stood - keys;

  const startedMs = performance.now();
  const { code, stdout, stderr } = await runCli(words);
  const completionMs = performance.now() - startedMs;
  if (code !== 0) throw new Error(`exit code ${String(code)}: ${stdout}${stderr}`);
  const report = JSON.parse(stdout) as Report;
  const there = await cluster.size();
  if (there !== keys) throw new Error(`${String(there)} of ${String(keys)} keys in the cluster`);
  const kept = await source.client.dbsize();
  if (kept !== 0) throw new Error(`${String(kept)} keys are left at the source`);
  const after = await digestOf(cluster.masters.map(({ client }) => client));
  if (after !== before) throw new Error('keys have changed on the way');
  return { arrivedAtKills, onBothSides, report, completionMs };

  /** Starts the command, and kills it when so many keys are left at the source. */
  async function killedAt(left: number): Promise<boolean> {
    const run = startCli(words);
    const over = new AbortController();
    void run.done.then(() => {
      over.abort();
    });
    while (!over.signal.aborted && (await source.client.dbsize()) > left);
    run.signal('SIGKILL');
    return (await run.done).code === undefined;
  }
}
