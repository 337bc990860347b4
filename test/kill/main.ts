/** `npm run test:kill -- --rounds 50 --keys 200000 --mover relay --kills 1`: prints what came of it. */
import { parseArgs } from 'node:util';
import { randomFrom } from '../support/random.js';
import { startCluster } from '../support/cluster.js';
import { startServer } from '../support/servers.js';
import { digestConfig } from '../support/compare.js';
import { playRound, type RoundResult } from './round.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '50' },
    keys: { type: 'string', default: '200000' },
    mover: { type: 'string', default: 'relay' },
    kills: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const mover = values.mover === 'migrate' ? 'migrate' : 'relay';
const keys = Number(values.keys);
const random = randomFrom(Number(values.seed), 0);
const config = digestConfig;
const [source, cluster] = await Promise.all([startServer({ config }), startCluster({ config })]);
const results: RoundResult[] = [];
const percent = (count: number): string => `${((count * 100) / keys).toFixed(1)} %`;
try {
  while (results.length < Number(values.rounds)) {
    const options = { keys, mover, kills: Number(values.kills), random } as const;
    const result = await playRound({ source, cluster }, options);
    results.push(result);
    const killed = result.arrivedAtKills.map(percent).join(', ');
    const { moved, scanned } = result.report.keys;
    console.log(
      `${String(results.length)}: killed at ${killed}; ${String(result.onBothSides)} keys on both sides; ` +
        `then ${String(moved)} of ${String(scanned)} moved in ${result.completionMs.toFixed(0)} ms`,
    );
  }
  const kills = results.flatMap(({ arrivedAtKills }) => arrivedAtKills).sort((a, b) => a - b);
  const doubled = results.map(({ onBothSides }) => onBothSides);
  console.log(
    `${mover}: ${String(results.length)} rounds over ${String(keys)} keys, ${String(kills.length)} kills between ` +
      `${percent(kills[0] ?? 0)} and ${percent(kills.at(-1) ?? 0)}, up to ${String(Math.max(...doubled))} keys on both sides; ` +
      `each completed by one more start, value for value (seed ${values.seed})`,
  );
} catch (error) {
  console.error(error instanceof Error ? error.message : error, `(seed ${values.seed})`);
  process.exitCode = 1;
} finally {
  await Promise.all([source.stop(), cluster.stop()]);
}
