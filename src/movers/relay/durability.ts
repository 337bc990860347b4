/**
 * What a node is asked before its keys are deleted at the source: whether its replicas have them.
 * Replication is asynchronous: a node that acknowledges and dies may take the keys with it.
 *
 * WAIT counts the replicas that have this connection's writes (since 3.0); WAITAOF those that have
 * them on disk, and the node itself (since 7.2).
 */
import { nextReply } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { command } from '../../redis/frames.js';
import { ErrorReply, type Reply, textOf } from '../../redis/reply.js';

export interface Durability {
  /** The command to send behind the writes. */
  readonly question: Buffer;
  /** What is missing by its answer, in words; undefined: nothing. */
  shortfall(answer: Reply): string | undefined;
}

/** What is missing of what was written over this connection; nobody else may use it meanwhile. */
export async function shortfallOver(
  connection: Connection,
  durability: Durability,
): Promise<string | undefined> {
  connection.out.append(durability.question);
  return durability.shortfall(await nextReply(connection));
}

/**
 * @param replicas how many must confirm.
 * @param fsync they, and the node itself, must have it on disk.
 * @param timeoutMs how long they have for it.
 */
export function durability(
  replicas: number,
  fsync: boolean,
  timeoutMs: number,
): Durability | undefined {
  if (replicas === 0 && !fsync) return undefined;
  const question = fsync
    ? command('WAITAOF', 1, replicas, timeoutMs)
    : command('WAIT', replicas, timeoutMs);
  return {
    question,
    shortfall(answer) {
      if (answer instanceof ErrorReply) return `it answered: ${answer.text}`;
      const [local, confirmed] = Array.isArray(answer) ? answer : [1, answer];
      if (Number(local) >= 1 && Number(confirmed) >= replicas) return undefined;
      const where = fsync ? 'on disk' : 'by replicas';
      return `confirmed ${where} by ${textOf(confirmed)} of ${String(replicas)} within ${String(timeoutMs)} ms`;
    },
  };
}
