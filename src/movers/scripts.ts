/** Lua scripts that run inside a server, because nothing else looks and acts in one go. */
import { createHash } from 'node:crypto';
import { ErrorReply } from '../redis/reply.js';

/** How a script is called by EVALSHA. */
export function shaOf(script: string): string {
  return createHash('sha1').update(script).digest('hex');
}

/** Whether the server does not know the script any more: it has to be loaded again. */
export function isForgotten(answer: unknown): boolean {
  return answer instanceof ErrorReply && answer.code === 'NOSCRIPT';
}
