/**
 * Ordinary connections to the source, for the few commands that joining its stream takes.
 *
 * Not those of the control plane: they send a PING, and a user who may only follow need not have that right.
 */
import { ConnectionError, RefusedError } from '../errors.js';
import { askAt } from '../redis/ask.js';
import { connect, type Connection } from '../redis/connection.js';
import { parseInfo } from '../redis/control.js';
import { addressOf, type Endpoint } from '../redis/endpoint.js';
import { ErrorReply, type Reply, textOf } from '../redis/reply.js';
import { sentence } from '../redis/sentences.js';
import { parseVersion } from '../redis/server.js';

export interface SourceConnection {
  readonly connection: Connection;
  readonly endpoint: Endpoint;
  readonly timeoutMs: number;
}

/**
 * Connects and logs in, in whatever database a connection begins with.
 * @throws RefusedError when the server refuses, ConnectionError when it can't be reached.
 */
export async function connectToSource(
  endpoint: Endpoint,
  timeoutMs: number,
): Promise<SourceConnection> {
  const { username, password, ...place } = endpoint;
  const source = { connection: await dial({ ...place, db: 0 }, timeoutMs), endpoint, timeoutMs };
  try {
    if (password !== undefined) {
      await ask(source, 'AUTH', ...(username === undefined ? [] : [username]), password);
    }
    return source;
  } catch (error) {
    source.connection.close();
    throw error;
  }
}

async function dial(endpoint: Endpoint, timeoutMs: number): Promise<Connection> {
  try {
    return await connect(endpoint, { timeoutMs, isNamed: true });
  } catch (error) {
    if (!(error instanceof ConnectionError) || !(error.cause instanceof Error)) throw error;
    const words = error.cause.message;
    throw new ConnectionError(explain(words, endpoint, timeoutMs, 'connect'), { cause: error });
  }
}

/**
 * @throws RefusedError when the server answers with an error, ConnectionError when it does not answer.
 */
export async function ask(
  source: SourceConnection,
  command: string,
  ...args: readonly (string | number)[]
): Promise<Reply> {
  const reply = await askAt(source.connection, [command, ...args]);
  if (reply instanceof ErrorReply) throw refusal(source, command, args, reply.text);
  return reply;
}

/** What a server's refusal means, in one sentence. */
export function refusal(
  { endpoint, timeoutMs }: SourceConnection,
  command: string,
  args: readonly (string | number)[],
  words: string,
): RefusedError {
  // Rights tell CONFIG GET and CONFIG SET apart, but not the subcommands of REPLCONF.
  const name = command === 'CONFIG' ? `${command} ${String(args[0])}` : command;
  return new RefusedError(explain(words, endpoint, timeoutMs, name), words);
}

function explain(words: string, endpoint: Endpoint, timeoutMs: number, command: string): string {
  return sentence(words, {
    side: 'from',
    address: addressOf(endpoint),
    endpoint,
    timeoutMs,
    command,
  });
}

/** What INFO tells of a server as the keeper of a stream. */
export interface StreamState {
  readonly version: string;
  readonly versionNumber: number;
  readonly isReplica: boolean;
  /** Reading its data: nothing else that it tells counts yet. */
  readonly isLoading: boolean;
  readonly replicationId: string;
  /** The history that it went on from when it became a master (4.0+), and how far that is its own. */
  readonly earlierId: string;
  readonly earlierEnd: number;
  readonly offset: number;
  /** The backlog, from which a replica may go on: undefined where there is none. */
  readonly backlog: { readonly firstOffset: number; readonly byteLength: number } | undefined;
  readonly replicas: number;
  /** The databases that have keys. */
  readonly usedDbs: readonly number[];
  /** It has but one database. */
  readonly hasOneDb: boolean;
}

/**
 * @throws RefusedError when it may not be asked, ConnectionError while it is loading its data.
 */
export async function readStreamState(source: SourceConnection): Promise<StreamState> {
  const info = parseInfo(textOf(await ask(source, 'INFO')));
  const number = (name: string): number => Number(info.get(name) ?? NaN);
  const version = info.get('redis_version') ?? '';
  const isClustered = info.get('cluster_enabled') === '1';
  const valkeyMajor = Number(info.get('valkey_version')?.split('.')[0] ?? 0);
  return {
    version,
    versionNumber: parseVersion(version),
    isReplica: info.get('role') === 'slave',
    isLoading: info.get('loading') === '1',
    replicationId: info.get('master_replid') ?? info.get('run_id') ?? '',
    earlierId: info.get('master_replid2') ?? '',
    earlierEnd: number('second_repl_offset'),
    offset: number('master_repl_offset'),
    backlog:
      info.get('repl_backlog_active') === '1'
        ? {
            firstOffset: number('repl_backlog_first_byte_offset'),
            byteLength: number('repl_backlog_histlen'),
          }
        : undefined,
    replicas: number('connected_slaves'),
    usedDbs: [...info.keys()].flatMap((name) => {
      const db = /^db(\d+)$/.exec(name)?.[1];
      return db === undefined ? [] : [Number(db)];
    }),
    // Valkey 9 may have several in a cluster too (cluster-databases).
    hasOneDb: isClustered && valkeyMajor < 9,
  };
}

/**
 * Whether the server will go on behind this offset of this history. It is asked beforehand, because a server
 * that can't begins with a full copy at once. (masterTryPartialResynchronization in Redis' replication.c)
 */
export function canGoOn(state: StreamState, replicationId: string, offset: number): boolean {
  const { backlog } = state;
  if (!backlog) return false;
  const next = offset + 1;
  const isItsHistory =
    replicationId.toLowerCase() === state.replicationId.toLowerCase() ||
    (replicationId === state.earlierId && next <= state.earlierEnd);
  return (
    isItsHistory && next >= backlog.firstOffset && next <= backlog.firstOffset + backlog.byteLength
  );
}
