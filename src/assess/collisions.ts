/**
 * Names that are in several databases of a server: one key each, in a cluster. The smaller database's
 * names are all looked for in the larger ones, up to a bound; when that is reached, the report says so.
 */
import { RefusedError } from '../errors.js';
import { connect, type Connection } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';
import { ErrorReply, type Reply, textOf } from '../redis/reply.js';
import { listNames } from '../redis/ask.js';
import { reportedKey, type ReportedKey } from '../report.js';

export interface Collisions {
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

export async function findCollisions(
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
