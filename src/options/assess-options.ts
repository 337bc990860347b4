/** What assessing is asked to do: its rows, as `options.ts` has those of an import. */
import { accessRows } from './access.js';
import { UsageError } from '../errors.js';
import { importRows } from './options.js';
import {
  count,
  duration,
  type Duration,
  type Given,
  given,
  readRows,
  type Row,
  type Rows,
  text,
  type Values,
} from './rows.js';

export const assessRows = {
  from: oneSource({ flag: '--from <endpoint>', help: 'the server that is to move' }),
  to: text({ flag: '--to <endpoint>', help: 'any node of the cluster that it is to move into' }),
  ...accessRows,
  watchMs: watchTime({
    flag: '--watch <time>',
    help: 'watch the commands for so long (60s); MONITOR slows a busy source down meanwhile',
  }),
  watchLimit: count(
    { flag: '--watch-limit <n>', help: 'watch no more commands' },
    { fallback: 1_000_000, min: 1, max: Number.MAX_SAFE_INTEGER },
  ),
  watchLatencyMs: duration(
    {
      flag: '--watch-latency <ms>',
      help: 'end watching when the server takes so much longer to answer',
    },
    { fallback: 250, min: 1, max: 3_600_000 },
  ),
  sample: count(
    { flag: '--sample <n>', help: 'how many keys to look at, taken at random' },
    { fallback: 2000, min: 0, max: 1_000_000 },
  ),
  /** Only keys that match one of these globs are sampled, and have to be readable. */
  match: importRows.match,
  html: text({ flag: '--html <file>', help: 'write the report to a file, as one page' }),
  timeoutMs: importRows.timeoutMs,
} satisfies Rows;

export type AssessOptions = Values<typeof assessRows>;
export type GivenAssessOptions = Given<typeof assessRows, 'from'>;

/** @throws UsageError naming the flag. */
export function readAssessOptions(options: Readonly<Record<string, unknown>>): AssessOptions {
  return readRows(assessRows, options);
}

interface Words {
  readonly flag: string;
  readonly help: string;
}

/** Several would be taken for one that is several servers' sum. */
function oneSource(words: Words): Row<string> {
  const row = given(words);
  return {
    ...row,
    repeatable: true,
    read(value) {
      const [first, ...others] = Array.isArray(value) ? (value as unknown[]) : [value];
      if (others.length === 0) return row.read(first);
      throw new UsageError('--from can be given only once: assess one server after the other.');
    },
  };
}

/** Less than a second is a number that lacks its unit. */
function watchTime(words: Words): Row<number, Duration> {
  const row = duration(words, { fallback: 0, min: 0, max: 86_400_000 });
  return {
    ...row,
    read(value) {
      const watchMs = row.read(value);
      if (watchMs === 0 || watchMs >= 1000) return watchMs;
      throw new UsageError(
        `--watch must be at least one second, and ${String(value)} is ${String(watchMs)} ms: give its unit, as in 60s or 5m.`,
      );
    },
  };
}
