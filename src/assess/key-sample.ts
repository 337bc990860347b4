/** Keys of a server taken at random, from each database as many as it has its share of all keys. */
import { RefusedError } from '../errors.js';
import { type Control, withControl } from '../redis/control.js';
import type { Endpoint } from '../redis/endpoint.js';
import { isKeyRefusal } from '../redis/trial.js';
import { slotOf } from '../redis/frames.js';
import { nameFilter } from '../sources/glob.js';

export interface SampledKey {
  readonly db: number;
  readonly key: Buffer;
  readonly type: string;
  /** Undefined: MEMORY USAGE may not be asked, or is not there (before 4.0). */
  readonly bytes: number | undefined;
  readonly slot: number;
}

const pageKeys = 1000;

interface Database {
  readonly db: number;
  readonly keys: number;
}

export interface Sample {
  /** A key may be among them several times. */
  readonly keys: readonly SampledKey[];
  /** How much of all keys `--match` selects. */
  readonly share: number;
  /** Keys that the user may not look at. */
  readonly hidden: number;
}

export interface SampleOptions {
  /** How many keys are taken at random, of all. */
  readonly sample: number;
  readonly match: readonly string[];
  readonly timeoutMs: number;
}

export async function sampleKeys(
  endpoint: Endpoint,
  databases: readonly Database[],
  { sample: wanted, match, timeoutMs }: SampleOptions,
): Promise<Sample> {
  const all = databases.reduce((sum, { keys }) => sum + keys, 0);
  const isWanted = nameFilter({ match, exclude: [] });
  const sampled: SampledKey[] = [];
  let named = 0;
  let selected = 0;
  for (const { db, keys } of databases) {
    const count = Math.min(Math.ceil((wanted * keys) / Math.max(1, all)), keys);
    if (count === 0) continue;
    await withControl({ ...endpoint, db }, { side: 'from', timeoutMs }, async (control) => {
      const names = count === keys ? await allNames(control) : await randomNames(control, count);
      const some = names.filter(isWanted);
      named += names.length;
      selected += some.length;
      sampled.push(...(await lookAt(control, db, some)));
    });
  }
  const keys = sampled.filter(({ type }) => type !== hiddenType);
  return { keys, share: selected / Math.max(1, named), hidden: sampled.length - keys.length };
}

/** What stands for the type of a key that the user may not look at. */
const hiddenType = '?';

async function randomNames(control: Control, count: number): Promise<readonly Buffer[]> {
  const asked = Array.from({ length: count }, () => control.callBinary('RANDOMKEY'));
  return (await Promise.all(asked)).filter((key) => Buffer.isBuffer(key));
}

/** Where so many are wanted as there are, each is looked at, and once. */
async function allNames(control: Control): Promise<readonly Buffer[]> {
  const names = new Map<string, Buffer>();
  let cursor = '0';
  do {
    const reply = await control.callBinary('SCAN', cursor, 'COUNT', pageKeys);
    const [next, page] = Array.isArray(reply) ? reply : [];
    cursor = Buffer.isBuffer(next) ? next.toString() : '0';
    for (const name of Array.isArray(page) ? page : []) {
      if (Buffer.isBuffer(name)) names.set(name.toString('latin1'), name);
    }
  } while (cursor !== '0');
  return [...names.values()];
}

async function lookAt(
  control: Control,
  db: number,
  keys: readonly Buffer[],
): Promise<readonly SampledKey[]> {
  const rows = await Promise.all(
    keys.map(async (key) => {
      const [type, bytes] = await Promise.all([typeOf(control, key), sizeOf(control, key)]);
      return { db, key, type, bytes, slot: slotOf(key, 0, key.length) };
    }),
  );
  return rows.filter(({ type }) => type !== 'none');
}

async function typeOf(control: Control, key: Buffer): Promise<string> {
  try {
    return String(await control.call('TYPE', key));
  } catch (error) {
    if (error instanceof RefusedError && isKeyRefusal(error.reply)) return hiddenType;
    throw error;
  }
}

async function sizeOf(control: Control, key: Buffer): Promise<number | undefined> {
  try {
    return Number((await control.call('MEMORY', 'USAGE', key)) ?? 0);
  } catch (error) {
    if (error instanceof RefusedError) return undefined;
    throw error;
  }
}
