/**
 * `npm run test:verify -- --keys 1000000 --differences 100 --data mix`: how fast verifying is and what
 * memory it takes, and whether it finds all of the differences that are planted, and no others.
 *
 * With `--data reencoded` the nodes keep what is no string in other ways than the source does, as
 * another version would, so that no payload is like the source's.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { run } from '../../bench/lab/process.js';
import { importKeys } from '../../src/commands/start-import.js';
import { differenceKinds } from '../../src/verify/differences.js';
import type { VerifyReport } from '../../src/verify/verify-report.js';
import { fillMixed, fillStrings } from '../support/bulk.js';
import { program } from '../support/cli.js';
import { startCluster } from '../support/cluster.js';
import { otherEncodings } from '../support/encodings.js';
import { digestConfig } from '../support/compare.js';
import { differing, keepExpired, kinds, plant } from '../support/planted.js';
import { startServer } from '../support/servers.js';

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    differences: { type: 'string', default: '100' },
    data: { type: 'string', default: 'strings' },
    flag: { type: 'string', multiple: true, default: [] },
  },
});
const keys = Number(values.keys);
const [source, cluster] = await Promise.all([
  startServer({ config: digestConfig }),
  startCluster({
    config: [...digestConfig, ...(values.data === 'reencoded' ? otherEncodings : [])],
  }),
]);
const folder = mkdtempSync(join(tmpdir(), 'cluster-import-verify-'));
try {
  await keepExpired([source.client, ...cluster.masters.map(({ client }) => client)]);
  if (values.data !== 'strings') await fillMixed(source, keys);
  else await fillStrings(source, { count: keys, valueBytes: 64 });
  await importKeys({ from: source.address, to: cluster.seed, copy: true, quiet: true });
  const sides = { source: source.client, clientFor: (key: string) => cluster.clientFor(key) };
  const neutral = kinds.filter((kind) => !differing.includes(kind));
  const planted = await plant(sides, differing, Number(values.differences));
  await plant(sides, neutral, neutral.length * 20);

  const file = join(folder, 'differences.jsonl');
  const words = ['verify', '--from', source.address, '--to', cluster.seed, '--json', '--quiet'];
  const args = [program, ...words, '--differences', file, ...values.flag];
  const ended = await run({ program: process.execPath, args });
  const report = JSON.parse(ended.stdout) as VerifyReport;
  const wanted = new Set(planted.map(({ key, kind }) => `${String(kind.found)} ${key}`));
  // The report lists only the first hundred.
  const found = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { kind: string; key: string })
    .map(({ kind, key }) => `${kind} ${key}`);
  const counted = differenceKinds.reduce((sum, kind) => sum + report.keys[kind], 0);
  const invented = found.filter((one) => !wanted.has(one));
  const missed = [...wanted].filter((one) => !found.includes(one));
  console.log(
    `${values.data}: ${String(report.keys.compared)} keys compared both ways in ${(report.durationMs / 1000).toFixed(1)} s: ` +
      `${String(report.keysPerSecond)} keys/s, ${String(Math.round((ended.peakBytes ?? 0) / 1e6))} MB at most; ` +
      `${String(planted.length - missed.length)} of ${String(planted.length)} differences of ${String(differing.length)} kinds found, ` +
      `${String(invented.length)} invented`,
  );
  if (missed.length + invented.length > 0 || counted !== planted.length) {
    console.error({ missed, invented, counted });
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
  await Promise.all([source.stop(), cluster.stop()]);
}
