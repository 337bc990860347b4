/**
 * Which values are too large to be asked for at one time. That has to be known before: a source
 * stands still while it puts a whole value into one answer.
 *
 * MEMORY USAGE (since 4.0) works for every type, by an estimate from a few elements, at the cost of
 * a GET; elsewhere the number of elements has to do.
 */
import type { Connection } from './connection.js';
import { command, keyAt, keyCommandHead } from './frames.js';
import { ErrorReply, type Reply, textOf } from './reply.js';
import type { Keys } from '../types.js';
import { askNumbers, ask } from './ask.js';

export interface Sizes {
  /** Large values may travel in one piece as well: slices are for the sake of the source's clients. */
  readonly isOptional: boolean;
  /** Whether strings are asked for too; else only what is known to be none. */
  readonly ofStrings: boolean;
  /** How large each value is, about; 0: the key is gone, or the server refuses. */
  of(source: Connection, keys: Keys): Promise<Float64Array>;
  /**
   * Places of values that are larger than the limit.
   * @param leastBytes the limit is no less than that; 0 if not given.
   */
  beyond(source: Connection, keys: Keys, leastBytes?: number): Promise<readonly number[]>;
}

export interface SizesOptions {
  /** False if not given. */
  readonly isOptional?: boolean;
  /** Asked for each time; undefined: none is too large now, and nobody is asked. */
  readonly limitBytes: () => number | undefined;
  readonly ofStrings: boolean;
  /** The source has MEMORY USAGE. */
  readonly memoryUsage: boolean;
  /** The database whose giants the source tells by itself: only where there are some, keys are asked about. Undefined: about all. */
  readonly giantsOf?: () => number | undefined;
}

/** What an element counts as where nothing but their number is known. */
const elementBytes = 64;

const memoryHead = keyCommandHead('MEMORY', 'USAGE');
const lengthHead = keyCommandHead('STRLEN');

const lengthWords: Readonly<Record<string, string>> = {
  list: 'LLEN',
  set: 'SCARD',
  zset: 'ZCARD',
  hash: 'HLEN',
  stream: 'XLEN',
};

export function createSizes(options: SizesOptions): Sizes {
  const { limitBytes, giantsOf } = options;
  let { ofStrings, memoryUsage: asksMemory } = options;

  async function sizesOf(source: Connection, keys: Keys): Promise<Float64Array> {
    if (keys.count === 0) return new Float64Array(0);
    if (asksMemory) {
      const sizes = await askNumbers(source, memoryHead, keys);
      const refused = sizes.findIndex(Number.isNaN);
      if (refused === -1) return sizes;
      const reply = await source.call('MEMORY', 'USAGE', keyAt(keys, refused));
      // A node has no answer for keys of slots that it does not own; as to the others it has.
      if (reply instanceof ErrorReply && /^(MOVED|ASK) /.test(reply.text)) {
        return sizes.map((size) => (Number.isNaN(size) ? 0 : size));
      }
      // It exists, but is not allowed.
      asksMemory = false;
    }
    return askLengths(source, keys);
  }

  return {
    isOptional: options.isOptional === true,
    get ofStrings() {
      return ofStrings;
    },
    of: sizesOf,
    async beyond(source, keys, leastBytes = 0) {
      const usual = limitBytes();
      if (usual === undefined) return [];
      const limit = Math.max(usual, leastBytes);
      const database = giantsOf?.();
      if (database !== undefined) {
        const { strings, others } = await askGiants(source, database);
        ofStrings = strings > 0;
        if (strings + others === 0) return [];
      }
      return placesAbove(await sizesOf(source, keys), limit);
    },
  };
}

/** An empty string counts for a byte: it is there. */
async function askLengths(source: Connection, keys: Keys): Promise<Float64Array> {
  const sizes = await askNumbers(source, lengthHead, keys);
  const places = [...sizes.keys()].filter((place) => !((sizes[place] as number) > 0));
  const names = places.map((place) => keyAt(keys, place));
  const types = await Promise.all(names.map((key) => askOfKey(source, 'TYPE', key)));
  await Promise.all(
    names.map(async (key, at) => {
      const type = textOf(types[at]);
      const word = lengthWords[type];
      const elements = word === undefined ? 0 : Number(await askOfKey(source, word, key));
      const isThere = type !== 'none' && type !== '';
      sizes[places[at] as number] = isThere ? Math.max(1, elements * elementBytes) : 0;
    }),
  );
  return sizes;
}

async function askOfKey(source: Connection, word: string, key: Buffer): Promise<Reply> {
  const reply = await source.call(word, key);
  if (!(reply instanceof ErrorReply)) return reply;
  // It has another type by now; or it may not be asked, and then slices are never wrong.
  return reply.code === 'WRONGTYPE' ? 0 : Infinity;
}

function placesAbove(sizes: Float64Array, limit: number): readonly number[] {
  const places: number[] = [];
  for (let place = 0; place < sizes.length; place++) {
    if ((sizes[place] as number) > limit) places.push(place);
  }
  return places;
}

/*
 * Whether a database has values that would make its clients wait, by the histograms of INFO keysizes (Redis 8): so
 * many values have from 2^n to 2^(n+1) - 1 elements, or bytes where they are strings. They cost one question for
 * hundreds of keys, so values travel in slices by themselves where a server has them (`--split-above`).
 *
 * Writing and reading a payload takes about a microsecond an element, and three on a busy machine; an answer of some
 * MB takes a few milliseconds. So below these sizes a pause is shorter than 50 ms.
 */

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
function askGiants(source: Connection, db: number): Promise<Giants> {
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
