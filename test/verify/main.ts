/**
 * `npm run test:verify -- --keys 1000000 --differences 100 --data mix`: how fast verifying is and what
 * memory it takes, and whether it finds all of the differences that are planted, and no others.
 */
import { parseArgs } from 'node:util';
import { run } from '../../bench/lab/process.js';
import { importKeys } from '../../src/commands/import.js';
import type { VerifyReport } from '../../src/verify/report.js';
import { fillMixed, fillStrings } from '../support/bulk.js';
import { program } from '../support/cli.js';
import { startCluster } from '../support/cluster.js';
import { differing, kinds, plant } from '../support/planted.js';
import { startServer } from '../support/servers.js';

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    /** At most a hundred: the report lists no more. */
    differences: { type: 'string', default: '100' },
    data: { type: 'string', default: 'strings' },
    flag: { type: 'string', multiple: true, default: [] },
  },
});
const keys = Number(values.keys);
const [source, cluster] = await Promise.all([startServer(), startCluster()]);
try {
  if (values.data === 'mix') await fillMixed(source, keys);
  else await fillStrings(source, { count: keys, valueBytes: 64 });
  await importKeys({ from: source.address, to: cluster.seed, copy: true, quiet: true });
  const sides = { source: source.client, clientFor: (key: string) => cluster.clientFor(key) };
  const neutral = kinds.filter((kind) => !differing.includes(kind));
  const planted = await plant(sides, differing, Number(values.differences));
  await plant(sides, neutral, neutral.length * 20);

  const words = ['verify', '--from', source.address, '--to', cluster.seed, '--json', '--quiet'];
  const args = [program, ...words, ...values.flag];
  const ended = await run({ program: process.execPath, args });
  const report = JSON.parse(ended.stdout) as VerifyReport;
  const wanted = new Set(planted.map(({ key, kind }) => `${String(kind.found)} ${key}`));
  const found = report.differences.map(({ key, kind }) => `${kind} ${key}`);
  const invented = found.filter((one) => !wanted.has(one));
  const missed = [...wanted].filter((one) => !found.includes(one));
  console.log(
    `${values.data}: ${String(report.keys.compared)} keys compared both ways in ${(report.durationMs / 1000).toFixed(1)} s: ` +
      `${String(report.keysPerSecond)} keys/s, ${String(Math.round((ended.peakBytes ?? 0) / 1e6))} MB at most; ` +
      `${String(planted.length - missed.length)} of ${String(planted.length)} differences of ${String(differing.length)} kinds found, ` +
      `${String(invented.length)} invented`,
  );
  if (missed.length + invented.length > 0) {
    console.error({ missed, invented });
    process.exitCode = 1;
  }
} finally {
  await Promise.all([source.stop(), cluster.stop()]);
}
