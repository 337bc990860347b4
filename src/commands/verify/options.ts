/** What verifying is asked to do: its rows, as `options.ts` has those of an import. */
import { accessRows } from '../../access.js';
import { UsageError } from '../../errors.js';
import { importRows } from '../../options.js';
import {
  duration,
  flag,
  given,
  list,
  readRows,
  type Row,
  type Rows,
  text,
  type Values,
} from '../../rows.js';

/** How many keys to look at. */
export type Sample = { readonly keys: number } | { readonly share: number };

export const verifyRows = {
  /** The sources, or copies of them. */
  from: sources({
    flag: '--from <endpoint>',
    help: 'a source whose keys must be in the cluster; may be repeated',
  }),
  /** Any node of the cluster. */
  to: given({ flag: '--to <endpoint>', help: 'any node of the cluster' }),
  ...accessRows,
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

export type GivenVerifyOptions = Readonly<Record<string, unknown>> & {
  readonly from: string | readonly string[];
  readonly to: string;
};

/** @throws UsageError naming the flag. */
export function readVerifyOptions(options: Readonly<Record<string, unknown>>): VerifyOptions {
  return readRows(verifyRows, options);
}

/** At least one. */
function sources(words: { readonly flag: string; readonly help: string }): Row<readonly string[]> {
  return { ...list(words), fallback: () => [given(words).fallback()] };
}

function sample(words: { readonly flag: string; readonly help: string }): Row<Sample | undefined> {
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
