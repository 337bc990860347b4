/**
 * `npm run bench -- gate <release>`: before a release, what became slower since the last one. The other build is
 * the release's tarball, which is installed into a folder of its own, or another build's bin/cluster-import.js. Both
 * take turns, so that whatever else the machine does meets both alike.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { program } from '../test/support/cli.js';
import { mix } from './datasets/mix.js';
import { strings16k } from './datasets/noise.js';
import { strings64 } from './datasets/strings.js';
import { withArena } from './lab/arena.js';
import { type Compared, type Cost, costOf } from './lab/compared.js';
import { say } from './lab/say.js';
import { chosen } from './options.js';
import type { Benchmark, Dataset } from './types.js';

const datasets = [strings64, mix, strings16k];
/** Of values, whatever was asked for: the source and the nodes hold them in memory. */
const mostBytes = 1e9;

/** What differs by less differs from round to round as well. */
const tolerated = 0.03;

const costs: Readonly<Record<keyof Cost, string>> = {
  time: 'time',
  clientCpu: 'CPU here',
  sourceCpu: 'CPU at the source',
};

export const gate: Benchmark = {
  usage:
    '<tarball, or bin/cluster-import.js> [keys] [rounds] [data]   (500000, 5 and all if not given)',
  async run([release, keys = '500000', rounds = '5', names]) {
    if (release === undefined) throw new Error('name the build to compare with: see --help.');
    const folder = mkdtempSync(join(tmpdir(), 'cluster-import-gate-'));
    try {
      const other = release.endsWith('.tgz') ? install(resolve(release), folder) : resolve(release);
      const wanted = names === undefined ? datasets : chosen('gate', names, datasets);
      await compare(other, Number(keys), Number(rounds), wanted);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

/** @returns the program. */
function install(tarball: string, folder: string): string {
  say(`installing ${tarball}`);
  const words = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--omit=dev', tarball];
  execFileSync('npm', words, { stdio: ['ignore', 'ignore', 'inherit'] });
  return join(folder, 'node_modules/cluster-import/bin/cluster-import.js');
}

async function compare(
  other: string,
  mostKeys: number,
  rounds: number,
  wanted: readonly Dataset[],
): Promise<void> {
  const slower: string[] = [];
  await withArena(async (arena) => {
    for (const dataset of wanted) {
      const keys = Math.min(mostKeys, Math.floor(mostBytes / dataset.bytesPerKey));
      console.log(`\n${dataset.name}, ${keys.toLocaleString('en')} keys`);
      const builds = { without: way('before', other), withIt: way('now', program) };
      const cost = await costOf(arena, { dataset, keys, rounds, ...builds });
      for (const [name, title] of Object.entries(costs)) {
        const share = cost[name as keyof Cost];
        if (share > tolerated)
          slower.push(`${dataset.name}: ${(share * 100).toFixed(1)} % more ${title}`);
      }
    }
  });
  const most = `${String(tolerated * 100)} %`;
  console.log(
    slower.length === 0 ? `\nNothing takes over ${most} more.` : `\n${slower.join('\n')}`,
  );
  if (slower.length > 0) process.exitCode = 1;
}

function way(title: string, file: string): Compared {
  return {
    title,
    prepare: ({ from, to }) =>
      Promise.resolve({
        program: process.execPath,
        args: [file, '--from', from, '--to', to, '--mover', 'relay', '--quiet', '--json'],
      }),
  };
}
