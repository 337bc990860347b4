/**
 * A journal in a Redis, for runs whose coordinator may be started again on another machine.
 *
 * Its lock is a lease: a key with a token and an expiry, which whoever holds it renews. A start that finds
 * it held waits for it to expire, because the run before may just have been killed.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { PreflightError } from '../errors.js';
import { addressOf, type Endpoint } from '../redis/endpoint.js';
import { reopenedControl } from '../redis/reopened-control.js';
import type { JournalStore, Lock } from './journal-store.js';

/** Several times what passes between two renewals. */
const leaseMs = 15_000;
const lookEveryMs = 500;

/** Only whoever holds it may renew or release it. */
const renewScript =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";
const releaseScript =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/**
 * @param key the journal's; the lock's is made from it.
 * @param tell is called when it waits for another run's lease.
 */
export function redisStore(
  endpoint: Endpoint,
  key: string,
  timeoutMs: number,
  tell: (sentence: string) => void,
): JournalStore {
  const token = randomUUID();
  const lockKey = `${key}:lock`;
  const control = reopenedControl(endpoint, { side: 'queue', timeoutMs });

  async function takeLease(): Promise<void> {
    const deadline = performance.now() + leaseMs + 2 * lookEveryMs;
    for (let isTold = false; ; isTold = true) {
      if ((await control.call('SET', lockKey, token, 'NX', 'PX', leaseMs)) === 'OK') return;
      if (performance.now() > deadline) {
        throw new PreflightError(
          `Another run of this job is under way (it holds ${lockKey} at ${addressOf(endpoint)}): wait for its end or stop it.`,
        );
      }
      if (!isTold)
        tell('Another run of this job was just at work: waiting until it is certainly gone.');
      await delay(lookEveryMs);
    }
  }

  return {
    name: `${key} at ${addressOf(endpoint)}`,
    way: "see to the queue's Redis",
    async lock(): Promise<Lock> {
      await takeLease();
      return {
        async renew() {
          if ((await control.call('EVAL', renewScript, 1, lockKey, token, leaseMs)) === 1)
            return true;
          // It is nobody's where the server lost it in a restart.
          return (await control.call('SET', lockKey, token, 'NX', 'PX', leaseMs)) === 'OK';
        },
        async release() {
          await control.call('EVAL', releaseScript, 1, lockKey, token);
        },
      };
    },
    async read() {
      const text = await control.call('GET', key);
      return typeof text === 'string' ? text : undefined;
    },
    async write(text) {
      await control.call('SET', key, text);
    },
    async remove() {
      await control.call('DEL', key);
    },
    moved: () => undefined,
    close() {
      control.close();
    },
  };
}
