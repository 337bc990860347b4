/**
 * Whether a database has values that would make its clients wait, by the histograms of INFO keysizes (Redis 8): so
 * many values have from 2^n to 2^(n+1) - 1 elements, or bytes where they are strings. They cost one question for
 * hundreds of keys, so values travel in slices by themselves where a server has them (`--split-above`).
 *
 * Writing and reading a payload takes about a microsecond an element, and three on a busy machine; an answer of some
 * MB takes a few milliseconds. So below these sizes a pause is shorter than 50 ms.
 */
import { ask } from './ask.js';
import type { Connection } from './connection.js';
import { command } from './frames.js';
import { textOf } from './reply.js';

/** From so many elements on a value is a giant. */
const giantElements = 16 * 1024;
/** From so many bytes on a string is. */
const giantStringBytes = 16 * 1024 * 1024;
/** What values are split above, where there are giants: elements of giants have 64 bytes each, or more. */
export const giantBytes = 1024 * 1024;

/** How many giants there are. */
export interface Giants {
  readonly strings: number;
  readonly others: number;
}

const question = command('INFO', 'keysizes');

/**
 * @param keySizes what INFO keysizes answers.
 * @returns undefined: the server does not tell.
 */
export function giantsIn(keySizes: string, db: number): Giants | undefined {
  if (!/^# Keysizes/m.test(keySizes)) return undefined;
  let strings = 0;
  let others = 0;
  const line = new RegExp(`^db${String(db)}_distrib_(\\w+?)_(?:sizes|items):(.*)$`, 'gm');
  for (const [, type, bins = ''] of keySizes.matchAll(line)) {
    const isString = type === 'strings';
    const count = countFrom(bins, isString ? giantStringBytes : giantElements);
    if (isString) strings += count;
    else others += count;
  }
  return { strings, others };
}

/** What a database has now; none where the source does not tell any more. */
export function askGiants(source: Connection, db: number): Promise<Giants> {
  return ask(source, [question], (reply) => {
    const text = Buffer.isBuffer(reply) ? textOf(reply) : '';
    return giantsIn(text, db) ?? { strings: 0, others: 0 };
  });
}

const units: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** @param bins `1=20,2=7,16K=1`: the least size of each bin, and how many values are in it. */
function countFrom(bins: string, least: number): number {
  let count = 0;
  for (const [, size, unit = '', values] of bins.matchAll(/(\d+)([KMGT]?)=(\d+)/g)) {
    if (Number(size) * (units[unit] ?? 1) >= least) count += Number(values);
  }
  return count;
}
