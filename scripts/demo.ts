/**
 * `npm run demo`: a million keys of every type go from a throw-away server into a throw-away cluster
 * of three, by the same command that people type, while you watch. Then it is checked that they are
 * all there, and a sample of them value by value.
 */
import { fillMixed, mixedKey } from '../test/support/bulk.js';
import { startCluster, type TestCluster } from '../test/support/cluster.js';
import { differences, snapshotOf } from '../test/support/compare.js';
import { fillEveryType } from '../test/support/every-type.js';
import { type Server, startServer } from '../test/support/servers.js';
import { endWith, runCommand, say, wasInterrupted } from './demo-parts.js';

const keyCount = 1_000_000;
const sampleEvery = 499;

say('Starting a source and a cluster of three masters.');
const [source, cluster] = await Promise.all([startServer(), startCluster()]);
say(`Filling the source with ${keyCount.toLocaleString('en')} keys of every type.`);
const special = await fillEveryType(source.client);
const specialKeys = await source.client.keysBuffer('*');
await fillMixed(source, keyCount - special);
const sample = [...specialKeys, ...sampleOf(keyCount - special)];
const before = await snapshotOf(sample, () => source.client);

const code = await runCommand(['--from', source.address, '--to', cluster.seed]).done;
say('');
const faults = await verdict();
await Promise.all([source.stop(), cluster.stop()]);
if (faults.length === 0 && !wasInterrupted()) {
  say(
    'Next: npm run demo:live moves a live application; docs/getting-started.md begins with your own servers.',
  );
}
endWith(code, faults);

async function verdict(): Promise<readonly string[]> {
  if (wasInterrupted()) return [];
  if (code !== 0) return [`cluster-import exited with ${String(code)}`];
  const faults = await check(source, cluster);
  if (faults.length === 0) {
    say(
      `All ${keyCount.toLocaleString('en')} keys are in the cluster and off the source; ` +
        `${sample.length.toLocaleString('en')} of them compared, values and TTLs: no difference.`,
    );
  }
  return faults;
}

function sampleOf(count: number): readonly Buffer[] {
  const length = Math.floor(count / sampleEvery);
  return Array.from({ length }, (_, at) => Buffer.from(mixedKey(at * sampleEvery).key));
}

async function check(from: Server, to: TestCluster): Promise<readonly string[]> {
  const left = await from.client.dbsize();
  const arrived = await to.size();
  const after = await snapshotOf(sample, (key) => to.clientFor(key));
  return [
    ...(left === 0 ? [] : [`${String(left)} keys are still at the source`]),
    ...(arrived === keyCount ? [] : [`${String(arrived)} keys are in the cluster`]),
    ...differences(before, after),
  ];
}
