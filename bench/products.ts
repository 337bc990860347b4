/**
 * `npm run bench -- products [keys] [rounds]`: moves between Redis 8 and Valkey 9, which refuse each other's payloads,
 * against moves between two of a kind; and what element by element does, where no payload is taken at all. The pairs
 * take turns, and ratios are taken within a round.
 */
import { findTool, type Tool } from '../scripts/find-tools.mjs';
import { importKeys } from '../src/index.js';
import { startCluster, type TestCluster } from '../test/support/cluster.js';
import { startServer, using } from '../test/support/servers.js';
import { hashes20 } from './datasets/hashes.js';
import { mix } from './datasets/mix.js';
import { median } from './lab/medians.js';
import { say } from './lab/say.js';
import { short, table } from './report/table.js';
import type { Benchmark, Dataset } from './types.js';

const leastShare = 0.85;
const leastByElements = 40_000;

type Product = Extract<Tool, 'redis-8' | 'valkey-9'>;

interface Pair {
  readonly from: Product;
  readonly to: Product;
  readonly byElements: boolean;
}

const products: readonly Product[] = ['redis-8', 'valkey-9'];
const pairs: readonly Pair[] = [
  ...products.flatMap((from) => products.map((to) => ({ from, to, byElements: false }))),
  ...products.map((to) => ({ from: to, to, byElements: true })),
];

export const acrossProducts: Benchmark = {
  usage: '[keys] [rounds]   (200000 and 5 if not given)',
  run: ([keys = '200000', rounds = '5']) => measureProducts(Number(keys), Number(rounds)),
};

const nameOf = ({ from, to, byElements }: Pair): string =>
  `${from} to ${to}${byElements ? ', element by element' : ''}`;

const programOf = (product: Product): string => {
  const program = findTool(product);
  if (program === undefined) throw new Error(`${product} is not here: run "npm run setup:tools".`);
  return program;
};

async function measureProducts(keys: number, rounds: number): Promise<void> {
  const clusters = new Map<Product, TestCluster>();
  try {
    for (const product of products) {
      clusters.set(product, await startCluster({ binary: programOf(product) }));
    }
    for (const dataset of [hashes20, mix]) await measure(dataset, clusters, keys, rounds);
  } finally {
    for (const cluster of clusters.values()) await cluster.stop();
  }
}

async function measure(
  dataset: Dataset,
  clusters: ReadonlyMap<Product, TestCluster>,
  keys: number,
  rounds: number,
): Promise<void> {
  const rates = new Map<Pair, number[]>(pairs.map((pair) => [pair, []]));
  // The first one is to warm up.
  for (let round = 0; round <= rounds; round++) {
    for (const pair of round % 2 === 0 ? pairs : [...pairs].reverse()) {
      say(`${dataset.name}, round ${String(round)} of ${String(rounds)}: ${nameOf(pair)}`);
      const rate = await rateOf(pair, dataset, clusters.get(pair.to) as TestCluster, keys);
      if (round > 0) rates.get(pair)?.push(rate);
    }
  }
  const of = (pair: Pair): readonly number[] => rates.get(pair) ?? [];
  const ofAKind = pairs.filter(({ from, to, byElements }) => from === to && !byElements);
  const alike = (round: number): number =>
    ofAKind.reduce((sum, pair) => sum + (of(pair)[round] ?? 0), 0) / ofAKind.length;
  const rows = pairs.map((pair) => {
    const share = median(of(pair).map((rate, round) => rate / alike(round)));
    const rate = median(of(pair));
    const holds = pair.byElements ? rate >= leastByElements : share >= leastShare;
    if (!holds && (pair.from !== pair.to || dataset === hashes20)) process.exitCode = 1;
    return [nameOf(pair), short(rate), share.toFixed(2), holds ? '' : 'NOT enough'];
  });
  console.log(`\n${dataset.title}, ${keys.toLocaleString('en')} keys`);
  console.log(table(['', 'keys/s', 'of two of a kind', ''], rows));
}

function rateOf(
  { from, byElements }: Pair,
  dataset: Dataset,
  cluster: TestCluster,
  keys: number,
): Promise<number> {
  return using(startServer({ binary: programOf(from) }), async (source) => {
    await cluster.flush();
    await dataset.fill(source, keys);
    const given = { from: source.address, to: cluster.seed, mover: 'relay', byElements } as const;
    const report = await importKeys(given);
    if (report.status !== 'complete') throw new Error(`${report.status}: ${String(report.error)}`);
    return report.keysPerSecond;
  });
}
