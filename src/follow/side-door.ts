/**
 * A way into a source that holds all of its clients (CLIENT PAUSE before 6.2).
 *
 * Whoever has asked for MONITOR is not held: the server takes it for a replica (CLIENT_SLAVE in
 * processInputBuffer of Redis' networking.c, 3.0 to 6.0). So everybody who enters by this door, a socket of this
 * process, gets a connection to the source that has asked for it, without the lines that MONITOR adds. It is to be
 * used for moments only, since a source tells each of them of all that it is asked.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Endpoint } from '../redis/endpoint.js';
import { command, LF, DOLLAR, PLUS } from '../redis/frames.js';
import { locate } from '../redis/control.js';
import { openSocket } from '../redis/connection.js';

export interface SideDoor {
  /** The same source, by this door: whoever enters is logged in already. */
  readonly endpoint: Endpoint;
  /** Whoever is inside is sent away. */
  close(): void;
}

/** A source that refuses MONITOR says so to whoever enters. */
export async function openSideDoor(source: Endpoint, timeoutMs: number): Promise<SideDoor> {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-import-'));
  const socket = join(folder, 'door');
  const inside = new Set<Socket>();
  const server = createServer({ pauseOnConnect: true }, (client) => {
    inside.add(client);
    client.once('close', () => inside.delete(client));
    letIn(client, source, timeoutMs).catch(() => client.destroy());
  });
  const close = (): void => {
    server.close();
    for (const client of inside) client.destroy();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await listening(server, socket);
  } catch (error) {
    close();
    throw error;
  }
  const { host, port, db } = source;
  return { endpoint: { host, port, db, socket, tls: false }, close };
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
}

async function letIn(client: Socket, source: Endpoint, timeoutMs: number): Promise<void> {
  // Who is sent away hears of it by the end of the connection.
  client.on('error', () => undefined);
  const endpoint = await locate(source, timeoutMs);
  const { username, password } = endpoint;
  const upstream = openSocket(endpoint);
  const user = username === undefined ? [] : [username];
  let answersLeft = password === undefined ? 1 : 2;
  let head = '';
  const lines = new MonitorFilter();

  const passOn = (bytes: Buffer): void => {
    for (const part of lines.without(bytes)) {
      if (!client.write(part)) upstream.pause();
    }
  };
  /** Of AUTH and MONITOR. */
  const takeAnswers = (bytes: Buffer): void => {
    let at = 0;
    while (answersLeft > 0) {
      const end = bytes.indexOf(LF, at);
      head += bytes.toString('latin1', at, end === -1 ? bytes.length : end + 1);
      if (end === -1) return;
      at = end + 1;
      if (head.startsWith('-')) {
        client.end(head);
        upstream.destroy();
        return;
      }
      head = '';
      answersLeft--;
    }
    client.pipe(upstream);
    passOn(bytes.subarray(at));
  };
  upstream.on('data', (bytes) => {
    if (answersLeft > 0) takeAnswers(bytes);
    else passOn(bytes);
  });
  client.on('drain', () => upstream.resume());
  client.once('close', () => upstream.destroy());
  upstream.on('error', () => client.destroy());
  upstream.once('close', () => client.end());
  if (password !== undefined) upstream.write(command('AUTH', ...user, password));
  upstream.write(command('MONITOR'));
}

/*
 * Replies of a connection that has asked for MONITOR, without the lines of MONITOR.
 *
 * A line tells of a command, whoever has sent it, and stands where an answer, or an element of one, could begin:
 * `+1700000000.123456 [0 127.0.0.1:6000] "GET" "key"`. No status that a server answers looks like that.
 */

const dot = 0x2e;
const zero = 0x30;
const nine = 0x39;

export class MonitorFilter {
  /** What was not decided yet: the start of a line, of which more has to come. */
  #rest: Buffer = Buffer.alloc(0);
  /** How many bytes of a value are still to come, with the end of its line. */
  #valueLeft = 0;
  /** In the midst of a line, which is left out or passed on. */
  #line: 'none' | 'left out' | 'passed on' = 'none';

  /** @returns the bytes that are answers, as slices of what was given. */
  without(chunk: Buffer): readonly Buffer[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const kept: Buffer[] = [];
    let from = 0;
    let at = 0;
    const keep = (): void => {
      if (from < at) kept.push(bytes.subarray(from, at));
    };
    while (at < bytes.length) {
      if (this.#valueLeft > 0) {
        const part = Math.min(this.#valueLeft, bytes.length - at);
        this.#valueLeft -= part;
        at += part;
        continue;
      }
      if (this.#line === 'none') {
        const isMonitors = startsMonitorLine(bytes, at);
        // A header tells how much comes behind it: it is looked at as a whole.
        const end = bytes[at] === DOLLAR ? bytes.indexOf(LF, at) : 0;
        if (isMonitors === undefined || end === -1) break;
        if (isMonitors) keep();
        this.#line = isMonitors ? 'left out' : 'passed on';
        if (bytes[at] === DOLLAR) {
          const length = Number(bytes.toString('latin1', at + 1, end - 1));
          this.#valueLeft = length < 0 ? 0 : length + 2;
        }
      }
      const end = bytes.indexOf(LF, at);
      const isOut = this.#line === 'left out';
      at = end === -1 ? bytes.length : end + 1;
      if (isOut) from = at;
      if (end !== -1) this.#line = 'none';
    }
    keep();
    this.#rest = Buffer.from(bytes.subarray(at));
    return kept;
  }
}

/** @returns undefined where more has to come before it can be told. */
function startsMonitorLine(bytes: Buffer, from: number): boolean | undefined {
  if (bytes[from] !== PLUS) return false;
  let at = from + 1;
  while (at < bytes.length && isDigit(bytes[at] as number)) at++;
  if (at === bytes.length) return undefined;
  return at > from + 1 && bytes[at] === dot;
}

const isDigit = (byte: number): boolean => byte >= zero && byte <= nine;
