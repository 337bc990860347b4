/** A server that is only read from: its connection is opened when it is needed, and again when it is lost. */
import pRetry from 'p-retry';
import { ConnectionError, SourceError, TargetError } from '../errors.js';
import { connect, type Connection } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';
import { locate } from '../redis/sentinel.js';
import type { Side } from '../redis/sentences.js';

export interface Server {
  /** `host:port`, or as the report names it. */
  readonly name: string;
  connection(): Promise<Connection>;
  close(): void;
}

export interface Patience {
  readonly timeoutMs: number;
  /** How long a server that fails is tried again. */
  readonly retryForMs: number;
}

export function createServer(endpoint: Endpoint, name: string, { timeoutMs }: Patience): Server {
  let opening: Promise<Connection> | undefined;
  let current: Connection | undefined;
  let closed = false;

  async function open(): Promise<Connection> {
    const opened = await connect(await locate(endpoint, timeoutMs), { timeoutMs });
    if (closed) opened.close();
    return (current = opened);
  }

  return {
    name,
    connection() {
      if (current && !current.lost) return Promise.resolve(current);
      opening ??= open().finally(() => (opening = undefined));
      return opening;
    },
    close() {
      closed = true;
      current?.close();
    },
  };
}

/**
 * Does something that may be done again: as often as connections are lost meanwhile, for a while.
 * @throws SourceError or TargetError when that was in vain.
 */
export async function persist<T>(
  side: Side,
  { retryForMs }: Patience,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await pRetry(work, {
      retries: Infinity,
      minTimeout: 50,
      maxTimeout: 2000,
      maxRetryTime: retryForMs,
      shouldRetry: ({ error }) => !signal.aborted && error instanceof ConnectionError,
    });
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    const Trouble = side === 'from' ? SourceError : TargetError;
    const words = `${error.message}; it did not come back within ${String(retryForMs / 1000)} s.`;
    throw new Trouble(words, { cause: error });
  }
}
