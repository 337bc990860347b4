/**
 * Follows sources of other versions than the system's, where somebody has them: an opt-in, as test/matrix/run.ts.
 *
 *   REDIS_SERVERS=/opt/redis-3.2/redis-server:/opt/redis-6.2/redis-server npm run test:matrix:follow
 *
 * Each of them is followed in rounds of test/follow, without faults: the writers write all that the version knows, in
 * transactions and scripts too, first at the source and then in the cluster, which must have each acknowledged write.
 * Further variables: FENCES (auto), CUTOVERS (auto,manual), ROUNDS of each (1), KEYS (2000), SEED, SOURCE_CONFIG (lines
 * of redis.conf, with ; between them), FAULTS=1 (rounds with faults, as their seeds plan them), and VERBOSE=1 tells what
 * happens. Before 6.0 scripts are not refused after a cutover: where the writers are not told of it by a command, they
 * run none any more (SCRIPTS=always, or "until the cutover").
 */
import { delimiter } from 'node:path';
import { type Servers, startServers } from '../chaos/servers.js';
import { type Plan, planOf as faultsOf } from '../follow/plan.js';
import { playRound, type RoundResult } from '../follow/round.js';
import { onlySource } from '../follow/sources.js';
import { startServer, using } from '../support/servers.js';
import { fieldOf, versionOf } from './version.js';

const binaries = (process.env['REDIS_SERVERS'] ?? '').split(delimiter).filter(Boolean);
const listed = (name: string, otherwise: string): readonly string[] =>
  (process.env[name] ?? otherwise).split(',');

function planOf(seed: number, fence: string, cutover: string, version: string): Plan {
  const faults = process.env['FAULTS'] === '1' ? faultsOf(seed) : faultless(cutover);
  const [major = 0, minor = 0] = version.replace('Valkey ', '').split('.').map(Number);
  const since = (first: number, second: number): boolean =>
    major > first || (major === first && minor >= second);
  // Before 6.0 they are not refused after a cutover, before 3.2 there is none as long as they run.
  const isSafe = since(6, 0) || (faults.switching === 'command' && since(3, 2));
  const scripts = isSafe ? 'always' : 'until the cutover';
  return {
    ...faults,
    tracks: bearable(faults.tracks, major),
    lateTracks: bearable(faults.lateTracks, major),
    seed,
    keys: Number(process.env['KEYS'] ?? 2000),
    fence: fence as Plan['fence'],
    scripts: (process.env['SCRIPTS'] as Plan['scripts'] | undefined) ?? scripts,
  };
}

/**
 * SWAPDB came with 4.0. Before 5.0, a server that starts again carries scripts out once more, PEXPIRE among them: what
 * a key's deadline is then, no writer knows.
 */
const bearable = (tracks: Plan['tracks'], major: number): Plan['tracks'] =>
  tracks.map((track) =>
    track.filter(
      ({ kind }) => !(kind === 'swap' && major < 4) && !(kind === 'kill-source' && major < 5),
    ),
  );

function faultless(cutover: string): Plan {
  return {
    ...faultsOf(0),
    durability: 'disks',
    delayMs: 0,
    maxRate: undefined,
    switching: cutover === 'auto' ? 'refusal' : 'command',
    cutover: cutover as Plan['cutover'],
    maxHold: '10s',
    waitsForWriters: true,
    cutsAtSwitch: false,
    tracks: [],
    lateTracks: [],
  };
}

async function cellsOf(servers: Servers, result: RoundResult): Promise<readonly string[]> {
  const { acknowledged, inCluster, complaints, runs, attempts, lost, tooMuch } = result;
  const { follow, warnings = [] } = runs.at(-1)?.report ?? {};
  const { cutover, feed = '', gaps = 0 } = follow ?? {};
  const held = cutover ? `${cutover.fence}, ${String(cutover.heldMs)} ms` : 'none';
  const found = complaints.length === 0 ? 'well' : `${String(complaints.length)} COMPLAINTS`;
  return [
    feed,
    held,
    `${String(attempts)} asked, ${String(gaps)} gaps`,
    `${String(acknowledged)} writes, ${String(inCluster)} in the cluster`,
    `lost ${String(lost)}, too much ${String(tooMuch)}, late ${String(cutover?.lateWrites ?? 0)}`,
    found,
    `forks ${(await fieldOf(servers.source, 'stats', 'latest_fork_usec')) === '0' ? '0' : 'some'}`,
    warnings.join(' / '),
  ];
}

async function play(servers: Servers, version: string, plan: Plan): Promise<void> {
  const trace = (event: string): void => {
    if (process.env['VERBOSE'] === '1') console.error(`    ${event}`);
  };
  const cells = await playRound(plan, servers, onlySource(servers), { trace }).then(
    async (result) => {
      for (const complaint of result.complaints.slice(0, 10)) console.error(`    ${complaint}`);
      return cellsOf(servers, result);
    },
    (error: unknown) => [`BROKEN OFF: ${String(error)}`],
  );
  const faults = [...plan.tracks, ...plan.lateTracks].flat().map(({ kind }) => kind);
  console.log(`| ${[version, [plan.cutover, ...faults].join(' '), ...cells].join(' | ')} |`);
  process.exitCode ||= cells.includes('well') ? 0 : 1;
}

if (binaries.length === 0) {
  console.error('REDIS_SERVERS names no redis-server: see the top of test/matrix/follow.ts.');
  process.exit(2);
}
console.log(
  '| source | cutover | feed | held | cutovers | writes | differences | outcome | forks | warnings |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
const config = (process.env['SOURCE_CONFIG'] ?? '').split(';').filter(Boolean);
let seed = Number(process.env['SEED'] ?? 1);
for (const binary of binaries) {
  const version = await using(startServer({ binary }), versionOf);
  for (const fence of listed('FENCES', 'auto')) {
    for (const cutover of listed('CUTOVERS', 'auto,manual')) {
      for (let round = 0; round < Number(process.env['ROUNDS'] ?? 1); round++) {
        const plan = planOf(seed++, fence, cutover, version);
        // Each begins with a source that never had a replica.
        await using(startServers(plan.durability, { binary, config }), (servers) =>
          play(servers, version, plan),
        );
      }
    }
  }
}
process.exit();
