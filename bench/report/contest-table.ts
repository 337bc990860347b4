/** A contest as a table. */
import type { Dataset, Standing } from '../types.js';
import { megabytes, short, table } from './table.js';

const head = [
  'rival',
  'keys',
  'keys/s',
  'MB/s',
  '× redis-cli',
  'µs/key: source',
  'targets',
  'client',
  'CPU s: source',
  'targets',
  'client',
  'peak MB',
  'p99 ms',
];

export function contestTable(dataset: Dataset, standings: readonly Standing[]): string {
  const rows = standings.map((one) => [
    one.title,
    one.keys.toLocaleString('en'),
    short(one.keysPerSecond),
    short(one.megabytesPerSecond),
    one.rival === 'redis-cli' ? '1' : short(one.ratios['redis-cli']),
    short(one.cpuMicrosPerKey.source),
    short(one.cpuMicrosPerKey.targets),
    short(one.cpuMicrosPerKey.client),
    short(one.cpuSeconds.source),
    short(one.cpuSeconds.targets),
    short(one.cpuSeconds.client),
    megabytes(one.peakBytes),
    short(one.latency?.p99Ms),
  ]);
  return [
    `\n${dataset.title}`,
    table(head, rows),
    ...standings.flatMap(unsteady),
    ...remarks(standings),
  ].join('\n');
}

/** A median hides the one round in which something went wrong. */
function unsteady({ title, trials }: Standing): readonly string[] {
  const seconds = trials.map((trial) => trial.seconds);
  if (Math.max(...seconds) < 2 * Math.min(...seconds)) return [];
  return [`  ${title} took ${seconds.map(short).join(', ')} s: look into the slow rounds`];
}

/** What the table does not say by itself. */
function remarks(standings: readonly Standing[]): readonly string[] {
  const named = (name: string): Standing | undefined =>
    standings.find((standing) => standing.rival === name);
  const relay = named('relay');
  if (!relay) return [];
  const floors = ['floor', 'floor-batched'].flatMap((name) => named(name) ?? []);
  const shake = Math.min(
    ...['shake-scan', 'shake-sync'].map((name) => relay.ratios[name] ?? Infinity),
  );
  const sourceMicros = relay.cpuMicrosPerKey.source;
  return [
    ...floors.map((floor) => {
      const least = floor.cpuMicrosPerKey.source;
      return `  source CPU of the relay: ${short(sourceMicros)} µs a key, ${short(sourceMicros / least)} × the ${floor.title}`;
    }),
    ...(shake === Infinity ? [] : [`  relay against RedisShake's better mode: ${short(shake)} ×`]),
  ];
}
