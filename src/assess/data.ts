/** What a source holds, from a sample of its keys: types, deadlines, sizes, and where they would go. */
import type { Control, ControlReply } from '../redis/control.js';
import { databasesIn, expiringOfDatabase, keysOfDatabase } from '../redis/keyspace.js';
import { reportedKey, type ReportedKey } from '../report.js';
import { type Collisions, findCollisions } from './collisions.js';
import { type Sample, type SampledKey, sampleKeys, type SampleOptions } from './key-sample.js';
import { shapeOf } from './key-shapes.js';

export interface DataFacts extends Collisions {
  /** Keys of each database that has any. */
  readonly databases: readonly {
    readonly db: number;
    readonly keys: number;
    readonly expiring: number;
  }[];
  /** Of all databases, from each by its share. */
  readonly sampled: number;
  readonly types: readonly {
    readonly type: string;
    readonly share: number;
    /** Undefined: MEMORY USAGE may not be asked. */
    readonly meanBytes?: number;
  }[];
  /** How far the shares may be off, 95 times of 100. */
  readonly shareError: number;
  readonly meanBytes: number;
  /** How far that may be off; undefined: it is not known. */
  readonly meanBytesError?: number;
  /** What the sizes are from: of the sampled keys, or of all of the server's memory. */
  readonly sizesBy: 'MEMORY USAGE' | 'used_memory';
  /** The few largest of each type. */
  readonly largest: readonly (ReportedKey & { readonly type: string; readonly bytes: number })[];
  /** Slots that hold far more of the sample than others, with what their keys look like. */
  readonly loadedSlots: readonly {
    readonly slot: number;
    readonly share: number;
    readonly shape: string;
  }[];
  readonly modules: readonly string[];
  readonly functions: readonly string[];
}

const largestOfType = 3;
const loadedTold = 5;

type Sizes = Pick<DataFacts, 'meanBytes' | 'meanBytesError' | 'sizesBy'>;

/** @returns the facts, and the sample that they are from. */
export async function readData(
  control: Control,
  options: SampleOptions,
): Promise<{
  readonly data: Omit<DataFacts, 'modules' | 'functions'>;
  readonly sample: Sample;
}> {
  const databases = databasesOf(await control.info('keyspace'));
  const taken = await sampleKeys(control.endpoint, databases, options);
  const sample = taken.keys;
  const keys = databases.reduce((sum, one) => sum + one.keys, 0);
  const memory = await control.info('memory');
  const count = Math.max(1, sample.length);
  const unique = distinct(sample);
  const data = {
    databases,
    ...(await findCollisions(control.endpoint, databases, options.timeoutMs)),
    sampled: sample.length,
    types: [...grouped(sample, ({ type }) => type)]
      .map(([type, some]) => ({
        type,
        share: some.length / count,
        ...meanOf(some),
      }))
      .sort((a, b) => b.share - a.share),
    shareError: 0.98 / Math.sqrt(count),
    ...(sizesOf(sample) ?? sizesByMemory(memory, keys)),
    largest: largestByType(unique),
    loadedSlots: loaded(unique, count),
  };
  return { data, sample: taken };
}

/** Undefined where MEMORY USAGE could not be asked, or nothing was sampled. */
function sizesOf(sample: readonly SampledKey[]): Sizes | undefined {
  const { meanBytes } = meanOf(sample);
  if (meanBytes === undefined) return undefined;
  const squares = sample.reduce((sum, { bytes = 0 }) => sum + (bytes - meanBytes) ** 2, 0);
  const deviation = Math.sqrt(squares / sample.length);
  return {
    meanBytes,
    meanBytesError: Math.round((1.96 * deviation) / Math.sqrt(sample.length)),
    sizesBy: 'MEMORY USAGE',
  };
}

/** All of the server's memory, its own needs included: rather too much than too little. */
function sizesByMemory(memory: ReadonlyMap<string, string>, keys: number): Sizes {
  const used = Number(memory.get('used_memory') ?? 0);
  return { meanBytes: Math.round(used / Math.max(1, keys)), sizesBy: 'used_memory' };
}

function meanOf(some: readonly SampledKey[]): { readonly meanBytes?: number } {
  if (some.length === 0 || some.some(({ bytes }) => bytes === undefined)) return {};
  const sum = some.reduce((all, { bytes = 0 }) => all + bytes, 0);
  return { meanBytes: Math.round(sum / some.length) };
}

function largestByType(rows: readonly SampledKey[]): DataFacts['largest'] {
  return [...grouped(rows, ({ type }) => type).values()]
    .map((some) =>
      some
        .flatMap(({ key, type, bytes }) => (bytes === undefined ? [] : [{ key, type, bytes }]))
        .sort((a, b) => b.bytes - a.bytes)
        .slice(0, largestOfType)
        .map(({ key, type, bytes }) => ({ ...reportedKey(key), type, bytes })),
    )
    .sort(([one], [other]) => (other?.bytes ?? 0) - (one?.bytes ?? 0))
    .flat();
}

function distinct(rows: readonly SampledKey[]): SampledKey[] {
  const byName = rows.map(
    (row) => [`${String(row.db)} ${row.key.toString('latin1')}`, row] as const,
  );
  return [...new Map(byName).values()];
}

function grouped<K>(
  rows: readonly SampledKey[],
  by: (row: SampledKey) => K,
): ReadonlyMap<K, SampledKey[]> {
  const groups = new Map<K, SampledKey[]>();
  for (const row of rows) {
    const group = groups.get(by(row));
    if (group) group.push(row);
    else groups.set(by(row), [row]);
  }
  return groups;
}

/** A slot with more than one in a hundred keys is one that a hash tag fills. */
function loaded(rows: readonly SampledKey[], count: number): DataFacts['loadedSlots'] {
  return [...grouped(rows, ({ slot }) => slot)]
    .filter(([, some]) => some.length > Math.max(10, count / 100))
    .sort(([, one], [, other]) => other.length - one.length)
    .slice(0, loadedTold)
    .map(([slot, some]) => ({
      slot,
      share: some.length / count,
      shape: shapeOf((some[0] as SampledKey).key.toString('latin1')),
    }));
}

function databasesOf(info: ReadonlyMap<string, string>): DataFacts['databases'] {
  return databasesIn(info).map((db) => ({
    db,
    keys: keysOfDatabase(info, db),
    expiring: expiringOfDatabase(info, db) ?? 0,
  }));
}

/** Names of function libraries (7.0); none where it may not be asked. */
export async function functionLibraries(control: Control): Promise<readonly string[]> {
  const reply = await control.call('FUNCTION', 'LIST').catch((): ControlReply => []);
  return (Array.isArray(reply) ? reply : []).flatMap((row) =>
    Array.isArray(row) ? [String(row[row.indexOf('library_name') + 1])] : [],
  );
}
