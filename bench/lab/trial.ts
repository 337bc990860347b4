/**
 * One trial: a fresh source, filled; a rival run against it; what it cost; and whether the keys are
 * where the rival says. A rate for keys that never arrived would be worth nothing.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Server, startServer, using } from '../../test/support/servers.js';
import type { Arena, Dataset, Rival, Trial } from '../types.js';
import { cpuSecondsOf } from './cpu.js';
import { startProbe } from './probe.js';
import { type Run, run } from './process.js';

export interface TrialOptions {
  readonly rival: Rival;
  readonly dataset: Dataset;
  readonly keys: number;
  /** Another client asks the source all the while: that costs time, so rates are taken without. */
  readonly probed?: boolean;
}

/** A new source each time: what one rival leaves behind (a replication log, a heap full of holes) is not the next one's. */
export async function runTrial(arena: Arena, options: TrialOptions): Promise<Trial> {
  await arena.cluster.flush();
  return using(startServer(), (source) => onSource(arena, options, source));
}

async function onSource(
  arena: Arena,
  { rival, dataset, keys, probed = false }: TrialOptions,
  source: Server,
): Promise<Trial> {
  const { cluster, to } = arena;
  // Within the server's, which is removed even when the benchmark is interrupted.
  const directory = join(source.directory, 'rival');
  await mkdir(directory);
  await dataset.fill(source, keys);
  const way = await arena.reach(source);
  const probe = probed ? await startProbe(source) : undefined;
  try {
    const scene = { source, from: way.from, to, directory, dataset };
    const invocation = await rival.prepare(scene);
    const [sourceBefore, targetsBefore] = await cpu();
    probe?.record();
    const ended = await run(invocation);
    const [sourceAfter, targetsAfter] = await cpu();
    const latency = await probe?.stop();
    check(rival, keys, ended, [await source.client.dbsize(), await cluster.size()]);
    return {
      seconds: ended.seconds,
      cpuSeconds: {
        source: sourceAfter - sourceBefore,
        targets: targetsAfter - targetsBefore,
        client: ended.cpuSeconds,
      },
      peakBytes: ended.peakBytes,
      latency,
    };
  } finally {
    await way.close();
  }

  function cpu(): Promise<[number, number]> {
    return Promise.all([cpuSecondsOf([source]), cpuSecondsOf(cluster.masters)]);
  }
}

function check(rival: Rival, keys: number, ended: Run, counts: readonly [number, number]): void {
  const expected = {
    'in the cluster': [0, keys],
    'on both sides': [keys, keys],
    nowhere: [0, 0],
  }[rival.keysEnd];
  if (ended.code === 0 && counts.every((count, side) => count === expected[side])) return;
  const words = `${ended.stdout}\n${ended.stderr}`.trim().slice(-500);
  const [left, arrived] = counts.map(String);
  throw new Error(
    `${rival.name} exited with ${String(ended.code)}, left ${String(left)} keys at the source and ` +
      `${String(arrived)} in the cluster, of ${String(keys)}: ${words}`,
  );
}
