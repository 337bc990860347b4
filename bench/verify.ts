/**
 * `npm run bench -- verify [--keys n] [--rounds n] [--only <dataset>] [--reencoded] [--against <program>]`:
 * how fast `verify` compares equal data, and what CPU each process takes for a key. Where other things go on at
 * the same machine, the CPU tells more than the clock does. `--against` names the program of another
 * build (its bin/cluster-import.js), which takes turns with this one.
 */
import { parseArgs } from 'node:util';
import { importKeys } from '../src/commands/start-import.js';
import type { VerifyReport } from '../src/verify/verify-report.js';
import { program } from '../test/support/cli.js';
import { otherEncodings } from '../test/support/encodings.js';
import { startServer, using } from '../test/support/servers.js';
import { datasets } from './datasets/all.js';
import { withArena } from './lab/arena.js';
import { cpuSecondsOf } from './lab/cpu.js';
import { median } from './lab/medians.js';
import { run } from './lab/process.js';
import { say } from './lab/say.js';
import { megabytes, short, table } from './report/table.js';
import type { Arena, Benchmark, CpuSeconds, Dataset } from './types.js';

const usage = `[options]

  --keys <n>            of each dataset (default: 300000)
  --rounds <n>          how many rounds count (default: 5)
  --only <a,b>          ${datasets.map(({ name }) => name).join(', ')} (default: strings-64,mix)
  --reencoded           the nodes keep small values in other ways, as another version would
  --against <program>   another build's bin/cluster-import.js, in turn with this one`;

export const verify: Benchmark = { usage, run: measureVerify };

interface Trial {
  readonly keysPerSecond: number;
  /** Of a whole run in seconds; of a round in µs a key, without what starting takes. */
  readonly cpu: CpuSeconds;
  readonly peakBytes: number | undefined;
}

async function measureVerify(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keys: { type: 'string', default: '300000' },
      rounds: { type: 'string', default: '5' },
      only: { type: 'string', default: 'strings-64,mix' },
      reencoded: { type: 'boolean', default: false },
      against: { type: 'string' },
    },
  });
  const names = values.only.split(',');
  const programs = [program, ...(values.against === undefined ? [] : [values.against])];
  await withArena(async (arena) => {
    if (values.reencoded) await reencode(arena);
    for (const dataset of datasets.filter(({ name }) => names.includes(name))) {
      await measure(arena, dataset, programs, Number(values.keys), Number(values.rounds));
    }
  });
}

async function reencode({ cluster }: Arena): Promise<void> {
  for (const { client } of cluster.masters) {
    for (const line of otherEncodings) await client.call('CONFIG', 'SET', ...line.split(' '));
  }
}

async function measure(
  arena: Arena,
  dataset: Dataset,
  programs: readonly string[],
  keys: number,
  rounds: number,
): Promise<void> {
  const trials = programs.map((): Trial[] => []);
  await arena.cluster.flush();
  await using(startServer(), async (source) => {
    const startUps: Trial[] = [];
    for (const one of programs) startUps.push(await trial(one));
    await dataset.fill(source, keys);
    await importKeys({ from: source.address, to: arena.to, copy: true, quiet: true });
    for (let round = 1; round <= rounds; round++) {
      const inTurn = [...programs.entries()];
      for (const [at, one] of round % 2 === 0 ? inTurn : inTurn.reverse()) {
        say(`${dataset.name}, round ${String(round)} of ${String(rounds)}: ${one}`);
        const { cpu, ...rest } = await trial(one);
        const startUp = (startUps[at] as Trial).cpu;
        const micros = (seconds: number): number => (seconds / keys) * 1e6;
        trials[at]?.push({
          ...rest,
          cpu: {
            client: micros(cpu.client - startUp.client),
            source: micros(cpu.source - startUp.source),
            targets: micros(cpu.targets - startUp.targets),
          },
        });
      }
    }

    async function trial(one: string): Promise<Trial> {
      const words = ['verify', '--from', source.address, '--to', arena.to, '--json', '--quiet'];
      const before = await servers();
      const ended = await run({ program: process.execPath, args: [one, ...words] });
      const after = await servers();
      if (ended.code !== 0) throw new Error(`${one}: ${ended.stdout}${ended.stderr}`);
      const { keysPerSecond } = JSON.parse(ended.stdout) as VerifyReport;
      return {
        keysPerSecond,
        cpu: {
          client: ended.cpuSeconds,
          source: after.source - before.source,
          targets: after.targets - before.targets,
        },
        peakBytes: ended.peakBytes,
      };
    }

    async function servers(): Promise<Omit<CpuSeconds, 'client'>> {
      const { masters } = arena.cluster;
      return { source: await cpuSecondsOf([source]), targets: await cpuSecondsOf(masters) };
    }
  });
  console.log(`\n${dataset.name}, ${keys.toLocaleString('en')} keys, CPU in µs a key`);
  const head = ['', 'keys/s', 'client', 'source', 'nodes', 'all CPU', 'peak MB', 'CPU ratio'];
  const all = ({ cpu: { client, source, targets } }: Trial): number => client + source + targets;
  const rows = programs.map((one, at) => {
    const some = trials[at] ?? [];
    const of = (read: (trial: Trial) => number): string => short(median(some.map(read)));
    const ratios = some.map((trial, round) => all(trial) / all(trials[0]?.[round] ?? trial));
    return [
      at === 0 ? 'this build' : one,
      of(({ keysPerSecond }) => keysPerSecond),
      of(({ cpu }) => cpu.client),
      of(({ cpu }) => cpu.source),
      of(({ cpu }) => cpu.targets),
      of(all),
      megabytes(median(some.map(({ peakBytes = NaN }) => peakBytes))),
      short(median(ratios)),
    ];
  });
  console.log(table(head, rows));
}
