/**
 * The control plane: every command whose number does not grow with the number of keys.
 * The only maker of ioredis clients, and the only place that knows their ways:
 *
 * - RESP2, since servers before 6.0 know nothing else;
 * - nothing is queued, sent again or reconnected behind our back: a connection that is lost stays
 *   lost, and a caller that needs another opens it;
 * - AUTH and SELECT are sent by ourselves: ioredis 6 goes on with database 0 when SELECT fails, and
 *   hides the reason when AUTH fails.
 */
import { Redis } from 'ioredis';
import { ConnectionError, errorOf, type ImportError, RefusedError } from '../errors.js';
import { addressOf, type Endpoint, tlsOptions } from './endpoint.js';
import { connectionName, type Identity, ownIdentity, ownName } from './identity.js';
import { nameOfCommand, type Side, sentence } from './sentences.js';

export type ControlReply = string | number | null | ControlReply[];
export type BinaryReply = Buffer | number | null | BinaryReply[];

export interface Control {
  readonly endpoint: Endpoint;
  /** `host:port`, as it is named in errors. */
  readonly address: string;
  /**
   * Sends a command and gives its reply, bulks as text.
   * @throws RefusedError when the server answers with an error.
   * @throws ConnectionError when it does not answer.
   */
  call(command: string, ...args: readonly (string | number | Buffer)[]): Promise<ControlReply>;
  /** The same with bulks as bytes, for what may be binary. */
  callBinary(command: string, ...args: readonly (string | number | Buffer)[]): Promise<BinaryReply>;
  /** The fields of INFO, or of one of its sections. */
  info(section?: string): Promise<ReadonlyMap<string, string>>;
  close(): void;
}

export interface ControlOptions {
  /** Which side it is on: errors say which flag gives its password. */
  readonly side: Side;
  /** How long connecting, and each answer, may take. */
  readonly timeoutMs: number;
}

/**
 * Connects, logs in and selects the database.
 * @throws RefusedError when the server refuses, ConnectionError when it can't be reached.
 */
export async function openControl(endpoint: Endpoint, options: ControlOptions): Promise<Control> {
  const { timeoutMs } = options;
  const address = addressOf(endpoint);
  let failure: Error | undefined;
  const client = new Redis({
    host: endpoint.host,
    port: endpoint.port,
    ...(endpoint.socket !== undefined && { path: endpoint.socket }),
    ...(endpoint.tls && { tls: tlsOptions(endpoint.host, endpoint.trust) }),
    protocol: 2,
    lazyConnect: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
  });
  // ioredis reports why a connection was lost only here; promises just say that it is closed.
  client.on('error', (error: Error) => (failure ??= error));

  function explain(error: unknown, command: string): ImportError {
    const reason = failure ?? errorOf(error);
    if (error instanceof Error && error.name === 'ReplyError') {
      return new RefusedError(
        sentence(error.message, { ...options, address, endpoint, command }),
        error.message,
      );
    }
    const message = sentence(reason.message, { ...options, address, endpoint, command });
    return new ConnectionError(message, { cause: reason });
  }

  async function guarded<T>(command: string, work: () => Promise<unknown>): Promise<T> {
    try {
      return (await work()) as T;
    } catch (error) {
      throw explain(error, command);
    }
  }

  const control: Control = {
    endpoint,
    address,
    call: (command, ...args) =>
      guarded(nameOfCommand([command, ...args]), () => client.call(command, ...args)),
    callBinary: (command, ...args) =>
      guarded(nameOfCommand([command, ...args]), () => client.callBuffer(command, ...args)),
    async info(section) {
      const reply = await control.call('INFO', ...(section === undefined ? [] : [section]));
      return parseInfo(String(reply));
    },
    close() {
      client.disconnect();
    },
  };

  try {
    await guarded('connect', () => client.connect());
    await logIn(control);
    const identity = ownIdentity();
    // By the queue's server the others are confirmed.
    if (identity && options.side !== 'queue') await identified(control, identity);
    else if (options.side === 'from') {
      await control.call('CLIENT', 'SETNAME', ownName).catch(ifRefused);
    }
    return control;
  } catch (error) {
    control.close();
    throw error;
  }
}

/** Asks over a connection that is open only meanwhile. @throws as `openControl`, and what the work throws. */
export async function withControl<T>(
  endpoint: Endpoint,
  options: ControlOptions,
  work: (control: Control) => Promise<T>,
): Promise<T> {
  const control = await openControl(endpoint, options);
  try {
    return await work(control);
  } finally {
    control.close();
  }
}

/** As those of the data plane are (connection.ts). */
async function identified(control: Control, identity: Identity): Promise<void> {
  await control.call('CLIENT', 'SETNAME', connectionName(identity)).catch(ifRefused);
  await identity.confirm();
}

/** Whether a server takes names was found out before the start. */
function ifRefused(error: unknown): void {
  if (!(error instanceof RefusedError)) throw error;
}

async function logIn(control: Control): Promise<void> {
  const { username, password, db } = control.endpoint;
  if (password !== undefined) {
    await control.call('AUTH', ...(username === undefined ? [] : [username]), password);
  }
  if (db !== 0) await control.call('SELECT', db);
  // The first command that needs a login: a missing password shows here and not somewhere later.
  else await control.call('PING');
}

/** INFO's `name:value` lines. */
export function parseInfo(reply: string): ReadonlyMap<string, string> {
  const lines = reply.split(/\r?\n/).filter((line) => !line.startsWith('#') && line.includes(':'));
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1)];
    }),
  );
}
