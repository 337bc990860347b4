/** Questions of the data plane whose replies are looked at: read whole, or as one number for each key. */
import { createHash } from 'node:crypto';
import { ProtocolError, RefusedError } from '../errors.js';
import type { Keys } from '../types.js';
import type { Connection } from './connection.js';
import { COLON, command, DOLLAR, headerEnd, headerNumber, MINUS } from './frames.js';
import { ErrorReply, lineText, type Reader, type Reply, ReplyReader, textOf } from './reply.js';

/**
 * Sends these pieces as one command.
 * @param read what to make of the reply, where it is read: ahead of the replies behind it.
 * @throws ConnectionError when the connection is lost before it has come.
 */
export function ask<T>(
  connection: Connection,
  pieces: readonly Buffer[],
  read: (reply: Reply) => T,
): Promise<T> {
  for (const piece of pieces) connection.out.append(piece);
  return new Promise((resolve, reject) => {
    const settle = (reply: Reply): void => {
      resolve(read(reply));
    };
    connection.expect(new ReplyReader(settle, reject));
  });
}

/**
 * The reply to what was appended last.
 * @param limitBytes how large it may be; undefined: as large as any that is looked at.
 * @throws ConnectionError when the connection is lost before it has come.
 */
export function nextReply(connection: Connection, limitBytes?: number): Promise<Reply> {
  return new Promise((resolve, reject) => {
    connection.expect(new ReplyReader(resolve, reject, limitBytes));
  });
}

/** An argument of a command. */
export type Word = string | number | Buffer;

/** One value may be as large as the servers' limit for a bulk string (`proto-max-bulk-len`), and more. */
export const largestReplyBytes = 768 * 1024 * 1024;

/** Asks for what is looked into; an error reply is a value. */
export function askAt(connection: Connection, words: readonly Word[]): Promise<Reply> {
  connection.out.append(command(...words));
  return nextReply(connection, largestReplyBytes);
}

const tries = 3;

/** How far away a server is. @returns the shortest of a few PINGs, in ms: what is longer is waiting, not distance. */
export async function measureRoundTrip(connection: {
  call(word: string): Promise<unknown>;
}): Promise<number> {
  let shortestMs = Infinity;
  for (let attempt = 0; attempt < tries; attempt++) {
    const sentMs = performance.now();
    await connection.call('PING');
    shortestMs = Math.min(shortestMs, performance.now() - sentMs);
  }
  return shortestMs;
}

/**
 * The same question about each key, pipelined.
 * @param head as `keyCommandHead` makes it.
 * @returns a number for each: 0 where there was nothing, NaN where the server refused.
 */
export function askNumbers(
  connection: Connection,
  head: Buffer,
  keys: Keys,
): Promise<Float64Array> {
  // Of no keys there is no answer to wait for.
  if (keys.count === 0) return Promise.resolve(new Float64Array());
  connection.out.askEach(head, keys);
  return new Promise((resolve, reject) => {
    connection.expect(new NumbersReader(keys.count, resolve, reject));
  });
}

/** Reads as many numbers as were asked for, in one go: nothing is made for each of them. */
export class NumbersReader implements Reader {
  done = false;
  readonly #numbers: Float64Array;
  #place = 0;

  /** @param resolve is given 0 where there was nothing, and NaN where the server refused. */
  constructor(
    count: number,
    readonly resolve: (numbers: Float64Array) => void,
    readonly reject: (error: Error) => void,
  ) {
    this.#numbers = new Float64Array(count);
  }

  fail(error: Error): void {
    this.done = true;
    this.reject(error);
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && !this.done) {
      const type = bytes[at];
      if (type === MINUS) {
        const text = lineText(bytes, at, end);
        if (text === undefined) return at;
        this.#put(NaN);
        at += text.length + 3;
        continue;
      }
      const stop = headerEnd(bytes, at, end);
      if (stop === -1) return at;
      const number = headerNumber(bytes, at, stop);
      if (type !== COLON && (type !== DOLLAR || number !== -1)) {
        throw new ProtocolError('a reply that is not a number');
      }
      this.#put(type === COLON ? number : 0);
      at = stop + 2;
    }
    return at;
  }

  #put(number: number): void {
    this.#numbers[this.#place++] = number;
    if (this.#place < this.#numbers.length) return;
    this.done = true;
    this.resolve(this.#numbers);
  }
}

/**
 * What names the data of a server, as far as it tells: the server has another `run_id` after each restart,
 * and another `master_replid` (since 4.0) after each time that it became a master (shiftReplicationId in
 * Redis' replication.c). So as long as the name is the same, nothing that was acknowledged was lost.
 * @returns an empty one where it does not tell.
 * @throws ConnectionError when it is lost.
 */
export async function readDataset(connection: Pick<Connection, 'call'>): Promise<string> {
  const replies = await Promise.all([
    connection.call('INFO', 'server'),
    connection.call('INFO', 'replication'),
  ]);
  const [server = '', replication = ''] = replies.map(textOf);
  const runId = /^run_id:(\w+)/m.exec(server)?.[1];
  const replicationId = /^master_replid:(\w+)/m.exec(replication)?.[1] ?? '';
  return runId === undefined ? '' : `${runId} ${replicationId}`;
}

/**
 * Lists the keys of a server's database, page by page.
 * @param options further ones of SCAN.
 * @throws RefusedError with the server's words, ProtocolError for a malformed reply.
 */
export async function* listNames(
  connection: Pick<Connection, 'call' | 'address'>,
  pageKeys: number,
  options: readonly string[] = [],
): AsyncGenerator<readonly Buffer[]> {
  let cursor = '0';
  do {
    const reply = await connection.call('SCAN', cursor, 'COUNT', pageKeys, ...options);
    if (reply instanceof ErrorReply) throw new RefusedError(reply.text, reply.text);
    const [next, names] = Array.isArray(reply) ? reply : [];
    if (!Array.isArray(names))
      throw new ProtocolError(`${connection.address} sent a malformed reply to SCAN`);
    cursor = textOf(next);
    yield names.filter((name) => Buffer.isBuffer(name));
  } while (cursor !== '0');
}

/* Lua scripts that run inside a server, because nothing else looks and acts in one go. */

/** How a script is called by EVALSHA. */
export function shaOf(script: string): string {
  return createHash('sha1').update(script).digest('hex');
}

/** Whether the server does not know the script any more: it has to be loaded again. */
export function isForgotten(answer: unknown): boolean {
  return answer instanceof ErrorReply && answer.code === 'NOSCRIPT';
}
