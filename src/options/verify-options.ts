/** What verifying is asked to do: its rows, as `options.ts` has those of an import. */
import { accessRows } from './access.js';
import { UsageError } from '../errors.js';
import { importRows } from './options.js';
import {
  duration,
  flag,
  type Given,
  given,
  list,
  readRows,
  type Row,
  type Rows,
  text,
  type Values,
} from './rows.js';

/** How many keys to look at. */
export type Sample = { readonly keys: number } | { readonly share: number };

const fromWords = {
  flag: '--from <endpoint>',
  help: 'a source whose keys must be in the cluster, or a dump or append-only file; may be repeated',
};

export const verifyRows = {
  /** The sources, or copies of them. */
  from: list(fromWords),
  fromCluster: importRows.fromCluster,
  db: { ...importRows.db, help: importRows.db.help.replace('to move', 'to compare') },
  /** Any node of the cluster. */
  to: given({ flag: '--to <endpoint>', help: 'any node of the cluster' }),
  ...accessRows,
  redisServer: {
    ...importRows.redisServer,
    help: 'the redis-server that loads files given in --from (default: the one on PATH)',
  },
  match: importRows.match,
  exclude: importRows.exclude,
  type: importRows.type,
  minTtlMs: importRows.minTtlMs,
  keyPrefix: {
    ...importRows.keyPrefix,
    help: 'what an import with --key-prefix has put ahead of each name; {db} and {from} as there',
  },
  /** Only some keys; undefined: all. */
  sample: sample({
    flag: '--sample <n|percent>',
    help: 'look at so many keys, taken at random, or at such a part of them (10000, 5%)',
  }),
  fast: flag({ flag: '--fast', help: 'compare types and TTLs, not values' }, false),
  repair: flag(
    {
      flag: '--repair',
      help: 'copy the keys that are missing or differ again, and look once more',
    },
    false,
  ),
  ttlToleranceMs: duration(
    { flag: '--ttl-tolerance <ms>', help: 'how far deadlines may be apart' },
    { fallback: 1000, min: 0, max: 86_400_000 },
  ),
  /** Write each difference there, one JSON object a line; `--only-keys` of an import takes it. */
  differences: text({
    flag: '--differences <file>',
    help: 'write each difference to a file, as JSON lines, which --only-keys of an import takes',
  }),
  timeoutMs: importRows.timeoutMs,
  retryForMs: importRows.retryForMs,
  quiet: importRows.quiet,
} satisfies Rows;

export type VerifyOptions = Values<typeof verifyRows>;

export type GivenVerifyOptions = Given<typeof verifyRows, 'to'>;

/** @throws UsageError naming the flag. */
export function readVerifyOptions(options: Readonly<Record<string, unknown>>): VerifyOptions {
  const read = readRows(verifyRows, options);
  if (read.from.length === 0 && read.fromCluster === undefined) given(fromWords).fallback();
  return read;
}

function sample(words: {
  readonly flag: string;
  readonly help: string;
}): Row<Sample | undefined, number | `${number}` | `${number}%`> {
  return {
    ...words,
    fallback: () => undefined,
    read(value) {
      const [, digits = '', percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(String(value).trim()) ?? [];
      const amount = Number(digits);
      if (percent === '%' && amount > 0 && amount <= 100) return { share: amount / 100 };
      if (percent === '' && Number.isInteger(amount) && amount > 0) return { keys: amount };
      throw new UsageError('--sample must be a number of keys or a percentage: write 10000 or 5%.');
    },
  };
}
