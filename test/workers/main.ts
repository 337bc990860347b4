/** `npm run test:workers -- --rounds 50 --seed 1`: a queue with workers that are killed, stopped and cut off. */
import { parseArgs } from 'node:util';
import { startCluster } from '../support/cluster.js';
import { randomFrom } from '../support/random.js';
import { startServer } from '../support/servers.js';
import { playRound } from './round.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '50' },
    sources: { type: 'string', default: '4' },
    workers: { type: 'string', default: '3' },
    faults: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const persistent = { config: ['appendonly yes', 'appendfsync always'] };
const sources = await Promise.all(
  Array.from({ length: Number(values.sources) }, () => startServer()),
);
const [cluster, queue] = await Promise.all([startCluster(), startServer(persistent)]);
const seed = Number(values.seed);
let failed = 0;
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    const random = randomFrom(seed + round, 0);
    const { faults, report, counted, ms, complaints } = await playRound(
      { sources, cluster, queue },
      { workers: Number(values.workers), faults: Number(values.faults), random },
    );
    if (complaints.length > 0) failed++;
    console.log(
      `seed ${String(seed + round)}; ${faults.join(', ')}; ${report.status}, ${String(counted)} counted; ` +
        `${(ms / 1000).toFixed(1)} s; ${complaints.length === 0 ? 'well' : `${String(complaints.length)} COMPLAINTS`}`,
    );
    for (const complaint of complaints.slice(0, 10)) console.log(`    ${complaint}`);
  }
  console.log(`${values.rounds} rounds, ${String(failed)} with complaints`);
  if (failed > 0) process.exitCode = 1;
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await Promise.all([...sources, queue].map((server) => server.stop()));
  await cluster.stop();
}
