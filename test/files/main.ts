/** `npm run test:files -- --rounds 40 --keys 5000 --seed 1`: each way of writing takes its turn. */
import { parseArgs } from 'node:util';
import { randomFrom } from '../support/random.js';
import { startCluster } from '../support/cluster.js';
import { startServer } from '../support/servers.js';
import { playRound, writingConfig, writings } from './round.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '40' },
    keys: { type: 'string', default: '5000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const [source, cluster] = await Promise.all([
  startServer({ config: writingConfig }),
  startCluster(),
]);
const encodings = new Set<string>();
try {
  let keys = 0;
  for (let nth = 0; nth < Number(values.rounds); nth++) {
    const writing = writings[nth % writings.length] ?? 'SAVE';
    const random = randomFrom(Number(values.seed), nth);
    const round = await playRound({ source, cluster }, writing, random, Number(values.keys));
    keys += round.keys;
    for (const encoding of round.encodings) encodings.add(encoding);
    console.log(
      `${String(nth + 1)}: ${writing}: ${String(round.keys)} keys by ${round.mover}, equal`,
    );
  }
  console.log(`${String(keys)} keys, ${[...encodings].sort().join(', ')} (seed ${values.seed})`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error, `(seed ${values.seed})`);
  process.exitCode = 1;
} finally {
  await Promise.all([source.stop(), cluster.stop()]);
}
