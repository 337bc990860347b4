/** Questions of the data plane whose replies are looked at, and read whole. */
import type { Connection } from './connection.js';
import { command } from './frames.js';
import { type Reply, ReplyReader } from './reply.js';

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
