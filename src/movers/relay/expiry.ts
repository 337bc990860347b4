/**
 * Whether TTLs have to be asked for at all. A database in which no key expires saves a question
 * for each key; INFO keyspace says so for the price of one.
 */
import type { Connection } from '../../redis/connection.js';
import { command } from '../../redis/frames.js';
import { type Reply, ReplyReader, textOf } from '../../redis/reply.js';

export interface Expiry {
  /** Whether some key has a TTL, as last heard. */
  isKnown(): boolean;
  /**
   * Asked behind values whose TTLs were not asked for.
   * @returns whether still no key had a TTL when they were read.
   */
  confirmNone(source: Connection): Promise<boolean>;
}

const question = command('INFO', 'keyspace');

/**
 * @param db the database's number at the source.
 * @param expiringKeys how many keys had a TTL before the start.
 */
export function createExpiry(db: number, expiringKeys: number): Expiry {
  let known = expiringKeys > 0;
  const line = new RegExp(`^db${String(db)}:.*`, 'm');

  return {
    isKnown: () => known,
    confirmNone(source) {
      return new Promise((resolve, reject) => {
        const read = (reply: Reply): void => {
          const isNone = Buffer.isBuffer(reply) && tellsOfNone(textOf(reply), line);
          if (!isNone) known = true;
          resolve(isNone);
        };
        source.out.append(question);
        source.expect(new ReplyReader(read, reject));
      });
    },
  };
}

/**
 * A server that doesn't tell is taken to have keys that expire. One that has no line for a database
 * has nothing in it.
 */
function tellsOfNone(keyspace: string, line: RegExp): boolean {
  const [ours] = line.exec(keyspace) ?? [];
  return ours === undefined ? /^# Keyspace/m.test(keyspace) : /[:,]expires=0(?!\d)/.test(ours);
}
