/**
 * `npm run bench -- memory`: peak memory of the process for one, three and ten million keys of 64 bytes. It has to be
 * the same: what an import holds must depend on what is in flight, not on how much there is.
 */
import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { present } from './contests.js';
import { strings64 } from './datasets/strings.js';
import { withArena } from './lab/arena.js';
import { say } from './lab/say.js';
import { runTrial } from './lab/trial.js';
import type { BenchOptions } from './options.js';
import { recorded } from './recorded.js';
import { type Circumstances, saveResult } from './report/results.js';
import { megabytes, short, table } from './report/table.js';
import { relay } from './rivals/ours.js';

const millions = [1, 3, 10];
const quickMillions = [0.1, 0.3, 1];
/** A key at the source and again at its node, with room for what is only moved aside. */
const bytesPerKey = 2 * 180;

interface Measured {
  readonly rival: string;
  readonly keys: number;
  readonly seconds: number;
  readonly peakBytes: number | undefined;
}

export const memory = recorded(measureMemory);

function measureMemory(
  options: BenchOptions,
  circumstances: Circumstances,
): Promise<readonly string[]> {
  return withArena(async (arena) => {
    const measured: Measured[] = [];
    for (const million of options.quick ? quickMillions : millions) {
      const keys = million * 1_000_000;
      if (availableBytes() < keys * bytesPerKey) {
        say(`${keys.toLocaleString('en')} keys: left out, there is too little memory for them`);
        continue;
      }
      for (const rival of present(options.rivals ?? [relay])) {
        say(`${rival.name}: ${keys.toLocaleString('en')} keys`);
        const trial = await runTrial(arena, { rival, dataset: strings64, keys });
        const { seconds, peakBytes } = trial;
        measured.push({ rival: rival.name, keys, seconds, peakBytes });
      }
    }
    const rows = measured.map((one) => [
      one.rival,
      one.keys.toLocaleString('en'),
      short(one.seconds),
      megabytes(one.peakBytes),
    ]);
    console.log(`\npeak memory\n${table(['rival', 'keys', 'seconds', 'peak MB'], rows)}`);
    const result = { ...circumstances, measured };
    return [saveResult(options.results, 'memory', result)];
  });
}

/** What can be had without swapping; os.freemem counts caches as taken on some systems. */
function availableBytes(): number {
  try {
    const kilobytes = /MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
    return Number(kilobytes) * 1024;
  } catch {
    return freemem();
  }
}
