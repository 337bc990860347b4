/**
 * `npm run bench -- <name>`: every benchmark, each a file that is named here. Without a name it is
 * the rates: this tool beside what people would use instead, on the same machine in the same minutes.
 * Absolute numbers differ between machines and hours; the ratios within a run hold.
 */
import type { Benchmark } from './types.js';

interface Entry {
  readonly about: string;
  /** Loaded when it is asked for: some need the build, and some start much. */
  readonly load: () => Promise<Benchmark>;
}

const usual = 'rates';
const benchmarks: Readonly<Record<string, Entry>> = {
  [usual]: {
    about: 'keys per second, against redis-cli --cluster import and RedisShake',
    load: async () => (await import('./contests.js')).rates,
  },
  memory: {
    about: 'peak memory for one, three and ten million keys',
    load: async () => (await import('./memory.js')).memory,
  },
  distance: {
    about: 'keys per second over 0, 5 and 50 ms of round trip',
    load: async () => (await import('./distance.js')).distance,
  },
  latency: {
    about: 'what clients of the source wait, with and without --max-source-latency',
    load: async () => (await import('./latency.js')).latency,
  },
  follow: {
    about: 'how long writes are held for a cutover, and how far the cluster is behind before it',
    load: async () => (await import('./follow.js')).follow,
  },
  followers: {
    about: 'how far behind its source each follower is, beside RedisShake and a replica',
    load: async () => (await import('./followers.js')).followers,
  },
  'follow-faults': {
    about: 'what becomes of those who follow when something fails, beside RedisShake',
    load: async () => (await import('./follow-faults.js')).followFaults,
  },
  workers: {
    about: 'what it costs to spread a move over processes (--workers)',
    load: async () => (await import('./workers.js')).workers,
  },
  sizing: {
    about: 'what a coordinator takes that hears a hundred workers (--queue), and its page',
    load: async () => (await import('./sizing.js')).sizing,
  },
  dump: {
    about: 'a dump file, against a server that loads it and the import from that',
    load: async () => (await import('./dump.js')).dump,
  },
  giant: {
    about: 'pauses and memory while one giant hash is moved',
    load: async () => (await import('./giant.js')).giant,
  },
  split: {
    about: 'what --split-above costs an import without large values',
    load: async () => (await import('./split.js')).split,
  },
  verify: {
    about: 'how fast verify compares, and what CPU that takes a key',
    load: async () => (await import('./verify.js')).verify,
  },
  rate: {
    about: 'whether --max-rate holds',
    load: async () => (await import('./rate.js')).rate,
  },
  watched: {
    about: 'what view, page and metrics cost whole runs, with and without in turn',
    load: async () => (await import('./watched.js')).watched,
  },
  watching: {
    about: 'the CPU that view, page and metrics take by themselves',
    load: async () => (await import('./watching.js')).watching,
  },
  products: {
    about: 'Redis 8 to Valkey 9 and back, against two of a kind, and element by element',
    load: async () => (await import('./products.js')).acrossProducts,
  },
  gate: {
    about: 'what became slower since the last release: its tarball and this build in turn',
    load: async () => (await import('./gate.js')).gate,
  },
  micro: {
    about: 'the data plane alone: instructions and time per key, without a server',
    load: async () => (await import('./micro/micro.js')).micro,
  },
};

try {
  await main(process.argv.slice(2));
  // Some leave things open, such as what prom-client watches.
  process.exit();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}

async function main(words: readonly string[]): Promise<void> {
  const [first = ''] = words;
  const isNamed = first !== '' && !first.startsWith('-');
  const name = isNamed ? first : usual;
  const args = isNamed ? words.slice(1) : words;
  if (name === 'list') {
    console.log(list());
    return;
  }
  const entry = benchmarks[name];
  if (!entry) throw new Error(`there is no benchmark named ${name}.\n\n${list()}`);
  const { usage, run } = await entry.load();
  if (args.includes('--help')) {
    console.log(`npm run bench -- ${name} ${usage}\n\n${list()}`);
    return;
  }
  await run(args);
}

function list(): string {
  const width = Math.max(...Object.keys(benchmarks).map((name) => name.length));
  return [
    `npm run bench -- <name>   (without a name: ${usual}; <name> --help shows its options)`,
    '',
    ...Object.entries(benchmarks).map(([name, { about }]) => `  ${name.padEnd(width)}  ${about}`),
  ].join('\n');
}
