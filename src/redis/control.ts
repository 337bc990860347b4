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
import { ConnectionError, errorOf, ImportError, RefusedError, UsageError } from '../errors.js';
import {
  addressOf,
  type Endpoint,
  type NatRule,
  parseEndpoint,
  reach,
  tlsOptions,
} from './endpoint.js';
import { connectionName, type Identity, ownIdentity, ownName } from './identity.js';
import { nameOfCommand, sentence, type Side } from './sentences.js';

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

/*
 * A source that is known by a name: Sentinels say which server is its master, and are asked again
 * for each connection, because after a failover it is another one
 * (https://redis.io/docs/latest/develop/reference/sentinel-clients/).
 */

const sentinelForm = 'sentinel://[user:password@]name@host:port,host:port[/db]';
const sentinelPort = 26379;

/**
 * Reads `sentinel://…`, or `sentinels://…` where all of them speak TLS. The user and password are the
 * source's; the Sentinels' own password comes by another way.
 * @returns an endpoint that is nowhere until it is located; undefined for other schemes.
 * @throws UsageError when it is malformed.
 */
export function parseSentinels(
  text: string,
  flag: string,
  nat: readonly NatRule[],
): Endpoint | undefined {
  const [, secure, rest = ''] = /^sentinel(s?):\/\/(.*)$/s.exec(text.trim()) ?? [];
  if (secure === undefined) return undefined;
  // Neither names nor places hold an @, so the last two end what stands before them.
  const parts = rest.split('@');
  const place = parts.pop() ?? '';
  const name = parts.pop() ?? '';
  const [hosts = '', db = ''] = place.split('/', 2);
  if (name === '' || hosts === '')
    throw new UsageError(`${flag} is malformed: write ${sentinelForm}.`);
  const scheme = secure === '' ? 'redis' : 'rediss';
  const login = parts.length > 0 ? `${parts.join('@')}@` : '';
  const endpoints = hosts.split(',').map((host) => {
    const hasPort = /[^:\]]:\d+$|\]:\d+$/.test(host);
    return parseEndpoint(`${scheme}://${host}${hasPort ? '' : `:${String(sentinelPort)}`}`, flag);
  });
  const template = parseEndpoint(`${scheme}://${login}${name}/${db}`, flag);
  return { ...template, sentinels: { name, endpoints, nat } };
}

/**
 * Where an endpoint is now: where it says, or where its Sentinels say.
 * @throws ConnectionError when none of them answers, or none knows the name.
 */
export async function locate(endpoint: Endpoint, timeoutMs: number): Promise<Endpoint> {
  const { sentinels } = endpoint;
  if (!sentinels) return endpoint;
  let reason: ImportError | undefined;
  for (const sentinel of sentinels.endpoints) {
    try {
      const place = await askSentinel(sentinel, sentinels.name, timeoutMs);
      if (place) return { ...endpoint, ...reach(place, sentinels.nat) };
      reason = new ConnectionError(
        `The Sentinel at ${addressOf(sentinel)} knows no master named ${sentinels.name}: correct --from.`,
      );
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      reason ??= error;
    }
  }
  throw new ConnectionError(reason?.message ?? `--from names no Sentinel: write ${sentinelForm}.`, {
    cause: reason,
  });
}

async function askSentinel(
  sentinel: Endpoint,
  name: string,
  timeoutMs: number,
): Promise<{ host: string; port: number } | undefined> {
  return withControl(sentinel, { side: 'from', timeoutMs }, async (control) => {
    const reply = await control.call('SENTINEL', 'get-master-addr-by-name', name);
    if (!Array.isArray(reply)) return undefined;
    return { host: String(reply[0]), port: Number(reply[1]) };
  });
}

/*
 * A control connection that is opened when it is first asked for something, and again after it was lost: for what
 * asks now and then for as long as a run lasts.
 */

export interface ReopenedControl {
  /** As `Control.call`; what could not be asked now may be asked again. @throws as that, and as `openControl`. */
  call(command: string, ...args: readonly (string | number)[]): Promise<ControlReply>;
  close(): void;
}

export function reopenedControl(endpoint: Endpoint, options: ControlOptions): ReopenedControl {
  let current: Promise<Control> | undefined;
  let isClosed = false;

  function open(): Promise<Control> {
    const opening = locate(endpoint, options.timeoutMs).then((place) =>
      openControl(place, options),
    );
    opening.catch(() => {
      forget(opening);
    });
    return opening;
  }

  function forget(opened: Promise<Control>): void {
    if (current === opened) current = undefined;
  }

  return {
    async call(command, ...args) {
      if (isClosed) throw new ConnectionError(`the connection to ${addressOf(endpoint)} is closed`);
      const opened = (current ??= open());
      const control = await opened;
      try {
        return await control.call(command, ...args);
      } catch (error) {
        if (error instanceof ConnectionError || isElsewhere(error)) {
          forget(opened);
          control.close();
        }
        throw error;
      }
    },
    close() {
      isClosed = true;
      // One that could not be opened was reported already.
      current?.then(
        (control) => {
          control.close();
        },
        () => undefined,
      );
    },
  };
}

/** It is not the master any more, or not ready: behind the same name there may be another server by now. */
function isElsewhere(error: unknown): boolean {
  return error instanceof RefusedError && /^(READONLY|MASTERDOWN|LOADING)/.test(error.reply);
}
