/** What a source holds, from a sample of its keys: types, deadlines, sizes, and where they would go. */
import type { Control, ControlReply } from '../redis/control.js';
import { databasesIn, expiringOfDatabase, keysOfDatabase } from '../redis/server.js';
import { reportedKey, type ReportedKey } from '../report.js';
import { type Sample, type SampledKey, sampleKeys, type SampleOptions } from './key-sample.js';
import { shapeOf } from './key-shapes.js';
import { RefusedError } from '../errors.js';
import { connect, type Connection } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';
import { ErrorReply, type Reply, textOf } from '../redis/reply.js';
import { listNames } from '../redis/ask.js';

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

/*
 * Names that are in several databases of a server: one key each, in a cluster. The smaller database's
 * names are all looked for in the larger ones, up to a bound; when that is reached, the report says so.
 */

interface Collisions {
  /** Names found in more than one database: the same key, in a cluster. */
  readonly collisions: readonly (ReportedKey & { readonly databases: readonly number[] })[];
  /** Of each database but the largest: how many of its names were looked for in larger ones. */
  readonly compared: readonly {
    readonly db: number;
    readonly names: number;
    readonly keys: number;
  }[];
}

/** Questions that the server is asked for it, in all. */
const questionsAtMost = 500_000;
const pageKeys = 1000;
const toldAtMost = 20;

interface Database {
  readonly db: number;
  readonly keys: number;
}

async function findCollisions(
  endpoint: Endpoint,
  databases: readonly Database[],
  timeoutMs: number,
): Promise<Collisions> {
  if (databases.length < 2) return { collisions: [], compared: [] };
  const ascending = [...databases].sort((one, other) => one.keys - other.keys);
  const connections = new Map<number, Connection>();
  const found = new Map<string, Set<number>>();
  const compared: Collisions['compared'][number][] = [];
  let questions = 0;
  try {
    for (const { db } of ascending) {
      connections.set(db, await connect({ ...endpoint, db }, { timeoutMs }));
    }
    for (const [at, { db, keys }] of ascending.slice(0, -1).entries()) {
      let names = 0;
      for await (const page of listNames(connections.get(db) as Connection, pageKeys)) {
        for (const other of ascending.slice(at + 1)) {
          const there = await present(connections.get(other.db) as Connection, page);
          for (const name of there) {
            const id = name.toString('latin1');
            found.set(id, (found.get(id) ?? new Set<number>()).add(db).add(other.db));
          }
          questions += page.length;
        }
        names += page.length;
        if (questions >= questionsAtMost || found.size >= toldAtMost) break;
      }
      // SCAN may name a key twice.
      compared.push({ db, names: Math.min(names, keys), keys });
    }
  } catch (error) {
    // SCAN or TYPE may not be used: how far it came says the rest.
    if (!(error instanceof RefusedError)) throw error;
    for (const { db, keys } of ascending.slice(compared.length, -1)) {
      compared.push({ db, names: 0, keys });
    }
  } finally {
    for (const connection of connections.values()) connection.close();
  }
  return { collisions: [...found].slice(0, toldAtMost).map(reported), compared };
}

function reported([name, dbs]: readonly [
  string,
  ReadonlySet<number>,
]): Collisions['collisions'][number] {
  return {
    ...reportedKey(Buffer.from(name, 'latin1')),
    databases: [...dbs].sort((a, b) => a - b),
  };
}

/** Asked by TYPE: EXISTS would be counted as a command of the application's with several keys. */
async function present(
  connection: Connection,
  names: readonly Buffer[],
): Promise<readonly Buffer[]> {
  const types = await Promise.all(names.map((name) => connection.call('TYPE', name)));
  return names.filter((_, at) => textOf(refused(types[at] as Reply)) !== 'none');
}

function refused(reply: Reply): Reply {
  if (reply instanceof ErrorReply) throw new RefusedError(reply.text, reply.text);
  return reply;
}
