/**
 * Watches a server by MONITOR, which costs it a good part of its speed: so it is done for a while
 * only, for so many commands at most, and no longer when the server becomes slow. Who sent a command is told at the end.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ImportError, SourceError } from '../errors.js';
import { formatCount, harmless } from '../format.js';
import { connect } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';
import { command } from '../redis/frames.js';
import { clientsIn } from '../redis/other-clients.js';
import type { Reader } from '../redis/reply.js';
import { shapeOf } from './key-shapes.js';

const probeEveryMs = 500;
/** How long to wait for what the server has run already. */
const catchUpMs = 5000;

export interface WatchOptions {
  readonly forMs: number;
  /** Commands at most. */
  readonly limit: number;
  /** The server is slow when it takes so much longer to answer than before. */
  readonly slowMs: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface Watched {
  readonly durationMs: number;
  /** Why it ended. */
  readonly endedBy: 'time' | 'limit' | 'latency' | 'signal' | 'lost';
  /** How the server was lost; only when it was. */
  readonly error?: string;
}

/**
 * Once it has begun, losing the server is an end like others: what was seen counts.
 * @throws SourceError when MONITOR is refused.
 */
export async function watchCommands(
  endpoint: Endpoint,
  { forMs, limit, slowMs, timeoutMs, signal }: WatchOptions,
  onSeen: (seen: Seen) => void,
): Promise<Watched> {
  const prober = await connect(endpoint, { timeoutMs });
  const monitor = await connect(endpoint, { timeoutMs });
  const stop = new AbortController();
  const state: { endedBy: Watched['endedBy']; isOver: boolean; hasBegun: boolean } = {
    endedBy: 'time',
    isOver: false,
    hasBegun: false,
  };
  const end = (reason: Watched['endedBy']): void => {
    if (stop.signal.aborted) return;
    state.endedBy = reason;
    stop.abort();
  };
  const startedMs = performance.now();
  let count = 0;
  /** What was run before it has been seen once the server's account of it comes. */
  const marker = `cluster-import ${randomUUID()}`;
  let caughtUp: () => void = () => undefined;
  const ping = async (words = marker): Promise<number> => {
    const sentMs = performance.now();
    await prober.call('ECHO', words);
    return performance.now() - sentMs;
  };
  const ended = (): Watched => ({
    durationMs: Math.round(performance.now() - startedMs),
    endedBy: state.endedBy,
  });
  const catchUp = async (): Promise<void> => {
    const seen = new Promise<void>((resolve) => (caughtUp = resolve));
    await ping(`${marker} end`);
    await Promise.race([seen, delay(catchUpMs, undefined, { ref: false })]);
  };
  try {
    const usualMs = Math.min(await ping(), await ping(), await ping());
    const failed = new Promise<never>((_, reject) => {
      monitor.out.append(command('MONITOR'));
      monitor.expect(
        linesReader((line, isCut) => {
          if (line.startsWith('-')) {
            reject(new SourceError(`${monitor.address} refused MONITOR: ${line.slice(1)}`));
          }
          const seen = state.isOver ? undefined : parseMonitorLine(line.slice(1), isCut);
          state.hasBegun ||= line === '+OK';
          if (seen?.words[1] === `${marker} end`) caughtUp();
          // Our own questions are no part of what the application does.
          if (!seen || seen.words[1]?.startsWith(marker)) return;
          onSeen(seen);
          if (++count < limit) return;
          state.isOver = true;
          end('limit');
        }, reject),
      );
    });
    failed.catch(() => undefined);
    const probing = (async () => {
      const pause = { signal: stop.signal };
      while (await delay(probeEveryMs, true, pause).catch(() => false)) {
        const tripMs = await ping();
        if (tripMs - usualMs > slowMs) end('latency');
      }
    })();
    signal.addEventListener('abort', () => {
      end('signal');
    });
    if (signal.aborted) end('signal');
    const timer = delay(forMs, undefined, { signal: stop.signal }).then(
      () => {
        end('time');
      },
      () => undefined,
    );
    await Promise.race([Promise.all([timer, probing]), failed]);
    if (!state.isOver) await Promise.race([catchUp(), failed]);
    state.isOver = true;
    return ended();
  } catch (error) {
    if (!state.hasBegun || !(error instanceof ImportError)) throw error;
    return { ...ended(), endedBy: 'lost', error: error.message };
  } finally {
    stop.abort();
    monitor.close();
    prober.close();
  }
}

/*
 * The lines of MONITOR's reply, one for each command:
 * `1339518083.107412 [0 127.0.0.1:60866] "set" "key" "value"`, with `lua` in the place of the client
 * for what a script ran (https://redis.io/docs/latest/commands/monitor/).
 */

export interface Seen {
  readonly db: number;
  /** `host:port`, a socket's path, or `lua`. */
  readonly client: string;
  /** The command and its arguments, one character a byte. */
  readonly words: readonly string[];
  /** It was too long: words behind these are not known. */
  readonly isCut?: boolean;
}

const pattern = /^\d+\.\d+ \[(\d+) (.*?)\] "/;
const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b' };

/** @returns nothing for what is no command. */
export function parseMonitorLine(line: string, isCut = false): Seen | undefined {
  const match = pattern.exec(line);
  if (!match) return undefined;
  const words: string[] = [];
  for (const [, quoted = ''] of line.slice(match[0].length - 1).matchAll(/"((?:[^"\\]|\\.)*)"/g)) {
    words.push(quoted.includes('\\') ? unescaped(quoted) : quoted);
  }
  return { db: Number(match[1]), client: match[2] ?? '', words, ...(isCut && { isCut }) };
}

function unescaped(text: string): string {
  return text.replace(/\\(x[0-9a-f]{2}|.)/g, (_, sign: string) =>
    sign.length === 3 ? String.fromCharCode(parseInt(sign.slice(1), 16)) : (escapes[sign] ?? sign),
  );
}

const LF = 10;
/** What is kept of a line, its end included: keys stand ahead of most values. */
export const keptBytes = 256 * 1024;

/**
 * Cuts the reply into lines. Never done: they come until the connection is closed. Where a line is cut does not depend on the
 * pieces that it comes in.
 */
export function linesReader(
  onLine: (line: string, isCut: boolean) => void,
  fail: (error: Error) => void,
): Reader {
  let held = '';
  let isCut = false;
  const hold = (bytes: Buffer, from: number, end: number): void => {
    const kept = Math.min(end, from + keptBytes - held.length);
    held += bytes.toString('latin1', from, kept);
    isCut ||= kept < end;
  };
  return {
    done: false,
    idle: true,
    fail,
    take(bytes, from, end) {
      let at = from;
      for (let lf = bytes.indexOf(LF, at); lf !== -1 && lf < end; lf = bytes.indexOf(LF, at)) {
        hold(bytes, at, lf);
        onLine(held.endsWith('\r') ? held.slice(0, -1) : held, isCut);
        held = '';
        isCut = false;
        at = lf + 1;
      }
      hold(bytes, at, end);
      return end;
    },
  };
}

/*
 * Who sent commands. MONITOR has the address of a connection, and its port means nothing to anybody: so connections
 * are told together by their host, and by what CLIENT LIST says of them, a name, a user or a library.
 */

/** What CLIENT LIST says of a connection, as far as it is set. */
export interface ClientIdentity {
  /** CLIENT SETNAME. */
  readonly name?: string;
  /** The ACL user, from 6.0. */
  readonly user?: string;
  /** What the client's library calls itself (CLIENT SETINFO, from 7.2). */
  readonly library?: string;
}

/** Connections of one host that are called the same. */
export interface ClientGroup extends ClientIdentity {
  readonly host: string;
  readonly connections: number;
  /** There were more: not all of them were kept. */
  readonly orMore?: true;
}

/** So many connections are kept of who did something. */
export const connectionsKept = 100;
const groupsTold = 5;

/** @param list CLIENT LIST's reply. @returns by `host:port`, as MONITOR calls them too. */
export function readClientList(list: string): ReadonlyMap<string, ClientIdentity> {
  const known = new Map<string, ClientIdentity>();
  for (const fields of clientsIn(list)) {
    const address = fields.get('addr');
    const [name, user, library] = ['name', 'user', 'lib-name'].map((field) => fields.get(field));
    if (address === undefined) continue;
    known.set(address, {
      // Many name each connection, by a number: the number says no more than the port does.
      ...(name !== undefined && name !== '' && { name: shapeOf(name) }),
      ...(user !== undefined && user !== 'default' && { user: harmless(user) }),
      ...(library !== undefined && library !== '' && { library: harmless(library) }),
    });
  }
  return known;
}

/** Those with the most connections first. */
export function groupClients(
  addresses: ReadonlySet<string>,
  known: ReadonlyMap<string, ClientIdentity>,
): readonly ClientGroup[] {
  const groups = new Map<string, ClientGroup>();
  for (const address of addresses) {
    const identity = known.get(address) ?? {};
    const host = address.replace(/:\d+$/, '');
    const id = JSON.stringify([host, identity.name, identity.user, identity.library]);
    const connections = (groups.get(id)?.connections ?? 0) + 1;
    // All that come by a socket's path have the same address.
    const orMore = addresses.size >= connectionsKept || address.startsWith('unix:');
    groups.set(id, { host, ...identity, connections, ...(orMore && { orMore }) });
  }
  return [...groups.values()].sort((one, other) => other.connections - one.connections);
}

/** `10.0.1.7 (web, 3 connections), 10.0.1.8 (user jobs, 1 connection)` */
export function clientWords(groups: readonly ClientGroup[]): string {
  const told = groups.slice(0, groupsTold).map((group) => {
    const { host, name, user, library, connections, orMore } = group;
    const count = `${formatCount(connections)}${orMore === true ? ' or more' : ''}`;
    const words = [
      ...(name === undefined ? [] : [name]),
      ...(user === undefined ? [] : [`user ${user}`]),
      ...(name === undefined && library !== undefined ? [library] : []),
      `${count} ${count === '1' ? 'connection' : 'connections'}`,
    ];
    return `${host} (${words.join(', ')})`;
  });
  const more = groups.length - told.length;
  return `${told.join(', ')}${more > 0 ? ` and ${formatCount(more)} more` : ''}`;
}
