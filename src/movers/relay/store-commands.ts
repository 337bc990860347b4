/**
 * The commands that store a key, split into what stands before the key and what follows the value,
 * prepared once a run. Which arguments a node takes depends on its version and on whether anything
 * may be overwritten.
 */
import { command, commandHead, frame } from '../../redis/frames.js';
import { withSlack } from '../../redis/short-copy.js';

/** How a value travels. `value`: GET replies into SET; `payload`: DUMP replies into RESTORE. */
export type Form = 'value' | 'payload';

export interface CommandParts {
  /** Up to, not including, the key's frame. */
  readonly prefix: Buffer;
  /** What follows the value; for a value with a TTL, its number comes behind. */
  readonly suffix: Buffer;
}

export interface StoreCommands {
  readonly value: CommandParts;
  readonly expiringValue: CommandParts;
  readonly payload: CommandParts;
  readonly expiringPayload: CommandParts;
  /** Whether SET takes its expiry as a point in time (PXAT); else as what is left. */
  readonly valueDeadlines: boolean;
  /** Whether RESTORE does (ABSTTL). */
  readonly payloadDeadlines: boolean;
  /** The node's clock minus this machine's, so that a deadline means the same on both. */
  readonly skewMs: number;
  /** The longest value that the node takes in one command. */
  readonly largestBytes: number;
}

/** What of a node matters for storing keys there. */
export interface StoreAbilities {
  /** SET … PXAT, since 6.2. */
  readonly valueDeadlines: boolean;
  /** RESTORE … ABSTTL, since 5.0. */
  readonly payloadDeadlines: boolean;
  readonly skewMs: number;
  readonly largestBytes: number;
}

export const commandFrames = {
  asking: command('ASKING'),
  /** The argument of RESTORE that says: it never expires. */
  never: frame(Buffer.from('0')),
} as const;

const head = (argCount: number, word: string): Buffer => withSlack(commandHead(argCount, word));
const frames = (...words: string[]): Buffer =>
  Buffer.concat(words.map((word) => frame(Buffer.from(word))));

/** @param overwrite whether a key that the node has is replaced. */
export function storeCommands(overwrite: boolean, node: StoreAbilities): StoreCommands {
  const unlessThere = overwrite ? [] : ['NX'];
  const expiry = [...unlessThere, node.valueDeadlines ? 'PXAT' : 'PX'];
  const replace = overwrite ? ['REPLACE'] : [];
  const absolute = [...replace, ...(node.payloadDeadlines ? ['ABSTTL'] : [])];
  return {
    value: { prefix: head(2 + unlessThere.length, 'SET'), suffix: frames(...unlessThere) },
    // The number itself is the one argument more.
    expiringValue: { prefix: head(3 + expiry.length, 'SET'), suffix: frames(...expiry) },
    payload: { prefix: head(3 + replace.length, 'RESTORE'), suffix: frames(...replace) },
    expiringPayload: {
      prefix: head(3 + absolute.length, 'RESTORE'),
      suffix: frames(...absolute),
    },
    ...node,
  };
}
