/**
 * The terminal's table of nodes, a row for each. Columns that do not fit are left out, the less
 * important ones first, and so are nodes that there are no rows for.
 */
import type { Colors } from 'picocolors/types.js';
import { formatCount } from '../format.js';
import { fit } from './lines.js';
import type { NodeSample } from './sampler.js';

const gap = '  ';
const barWidth = 12;

interface Column {
  readonly title: string;
  /** The lower, the longer it stays when space gets scarce. */
  readonly rank: number;
  text(node: NodeSample): string;
}

const columns: readonly Column[] = [
  { title: 'keys', rank: 0, text: ({ keys }) => formatCount(keys) },
  { title: 'share', rank: 2, text: ({ share }) => `${(share * 100).toFixed(1)} %` },
  { title: 'keys/s', rank: 1, text: ({ keysPerSecond }) => formatCount(keysPerSecond) },
  { title: 'in flight', rank: 3, text: ({ inflightKeys }) => formatCount(inflightKeys) },
  { title: 'retries', rank: 4, text: ({ retries }) => formatCount(retries) },
];

export interface TableSize {
  readonly width: number;
  readonly rows: number;
}

export function nodeTable(
  nodes: readonly NodeSample[],
  { width, rows }: TableSize,
  colours: Colors,
): string[] {
  if (nodes.length === 0 || rows < 3) return [];
  const shown = nodes.length <= rows - 1 ? nodes : nodes.slice(0, rows - 2);
  const nameWidth = Math.max(4, ...shown.map(({ address }) => address.length));
  const { kept, names } = whatFits(shown, nameWidth, width);
  const barFits = names + sum(kept.map((column) => column.width)) + barWidth + gap.length <= width;
  const most = Math.max(...nodes.map(({ share }) => share));
  const header = [
    'node'.padEnd(names),
    ...kept.map(({ title, width: wide }) => title.padStart(wide)),
  ];
  const left = nodes.length - shown.length;
  return [
    colours.dim(header.join('')),
    ...shown.map((node) => {
      const cells = kept.map((column) => column.text(node).padStart(column.width));
      const line = fit(node.address, names).padEnd(names) + cells.join('');
      return barFits ? line + gap + colours.cyan(bar(node.share, most)) : line;
    }),
    ...(left > 0 ? [colours.dim(`… and ${formatCount(left)} more`)] : []),
  ];
}

function whatFits(shown: readonly NodeSample[], nameWidth: number, width: number) {
  let kept = columns.map((column) => ({
    ...column,
    width:
      gap.length + Math.max(column.title.length, ...shown.map((node) => column.text(node).length)),
  }));
  while (kept.length > 1 && nameWidth + sum(kept.map((column) => column.width)) > width) {
    const worst = Math.max(...kept.map(({ rank }) => rank));
    kept = kept.filter(({ rank }) => rank !== worst);
  }
  const room = width - sum(kept.map((column) => column.width));
  return { kept, names: Math.max(0, Math.min(nameWidth, room)) };
}

/** Compared with the node that got most, so that small clusters and large ones look alike. */
function bar(share: number, most: number): string {
  return '━'.repeat(most === 0 ? 0 : Math.round((share / most) * barWidth));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
