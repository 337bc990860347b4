/**
 * Which values are too large to be asked for at one time. That has to be known before: a source
 * stands still while it puts a whole value into one answer.
 *
 * MEMORY USAGE (since 4.0) works for every type, by an estimate from a few elements, at the cost of
 * a GET; elsewhere the number of elements has to do.
 */
import type { Connection } from './connection.js';
import { keyCommandHead } from './frames.js';
import { keyAt } from './keys.js';
import { ErrorReply, type Reply, textOf } from './reply.js';
import type { Keys } from '../types.js';
import { askNumbers } from './ask.js';
import { askGiants } from './key-sizes.js';

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
  const types = await Promise.all(names.map((key) => ask(source, 'TYPE', key)));
  await Promise.all(
    names.map(async (key, at) => {
      const type = textOf(types[at]);
      const word = lengthWords[type];
      const elements = word === undefined ? 0 : Number(await ask(source, word, key));
      const isThere = type !== 'none' && type !== '';
      sizes[places[at] as number] = isThere ? Math.max(1, elements * elementBytes) : 0;
    }),
  );
  return sizes;
}

async function ask(source: Connection, word: string, key: Buffer): Promise<Reply> {
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
