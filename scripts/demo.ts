/**
 * `npm run demo`: a million keys of every type go from a throw-away server into a throw-away cluster
 * of three, by the same command that people type, while you watch. Then it is checked that they are
 * all there, and a sample of them value by value.
 */
import { spawn } from 'node:child_process';
import { fillMixed, mixedKey } from '../test/support/bulk.js';
import { program } from '../test/support/cli.js';
import { startCluster, type TestCluster } from '../test/support/cluster.js';
import { differences, snapshotOf } from '../test/support/compare.js';
import { fillEveryType } from '../test/support/every-type.js';
import { type Server, startServer } from '../test/support/servers.js';

const keyCount = 1_000_000;
const sampleEvery = 499;
const interrupts = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type Interrupt = keyof typeof interrupts;

/** What to do when a signal comes; the servers are stopped when the process ends (servers.ts). */
let onSignal = (signal: Interrupt): void => process.exit(interrupts[signal]);
for (const signal of Object.keys(interrupts) as Interrupt[]) {
  process.on(signal, () => {
    onSignal(signal);
  });
}

// A terminal that is gone must not keep the servers from being stopped.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

const say = (words: string): void => {
  console.log(words);
};

say('Starting a source and a cluster of three masters.');
const [source, cluster] = await Promise.all([startServer(), startCluster()]);
say(`Filling the source with ${keyCount.toLocaleString('en')} keys of every type.`);
const special = await fillEveryType(source.client);
const specialKeys = await source.client.keysBuffer('*');
await fillMixed(source, keyCount - special);
const sample = [...specialKeys, ...sampleOf(keyCount - special)];
const before = await snapshotOf(sample, () => source.client);

const words = ['--from', source.address, '--to', cluster.seed];
say(`\n$ cluster-import ${words.join(' ')}`);
const code = await runImport(words);
say('');
const faults = await verdict();
await Promise.all([source.stop(), cluster.stop()]);
for (const fault of faults.slice(0, 20)) say(`WRONG: ${fault}`);
process.exit(faults.length === 0 ? code : 1);

async function verdict(): Promise<readonly string[]> {
  if (Object.values<number>(interrupts).includes(code)) {
    say('Interrupted: the servers are stopped, and nothing of them is left.');
    return [];
  }
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

/** In a process group of its own: signals reach it once, from here, and not from the terminal too. */
function runImport(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: 'inherit', detached: true });
    onSignal = (signal) => {
      child.kill(signal);
    };
    child.once('error', reject);
    child.once('close', (code) => {
      onSignal = (signal) => process.exit(interrupts[signal]);
      resolve(code ?? 1);
    });
  });
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
