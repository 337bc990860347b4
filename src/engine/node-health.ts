/**
 * When keys that could not move go round again, and which nodes are left alone meanwhile.
 *
 * A node that refuses or does not answer is suspended: its keys stay at the source, where a later
 * pass finds them, while the run goes on with the other nodes. The few batches that were in flight
 * to it come back after a delay that grows, and are the probe: the first that gets through ends the
 * suspension. A node that has refused for longer than `retryForMs` is given up.
 */
import { keyAt } from '../redis/keys.js';
import type { Batch, FailureClass, KeyFailure, Keys, Logger, Outcome } from '../types.js';

const firstDelayMs = 50;
const longestDelayMs = 2000;

/** Refusals that say something of the node, not of the keys. */
export const nodeTroubles: ReadonlySet<FailureClass> = new Set(['unavailable', 'oom']);

export interface NodeHealth {
  isSuspended(address: string): boolean;
  isGivenUp(address: string): boolean;
  /** A batch came back with keys to retry. @returns after how many ms, or undefined: no more. */
  troubled(address: string, why: FailureClass, attempt: number): number | undefined;
  /** It answered for keys as it should. */
  succeeded(address: string): void;
  /** A new pass begins: the suspended are tried again, though their time goes on. */
  passBegins(): void;
}

/**
 * @param retryForMs how long a node may refuse before it is given up.
 * @param retryLimit how often keys go round for reasons of their own.
 */
export function nodeHealth(retryForMs: number, retryLimit: number, logger: Logger): NodeHealth {
  const troubledSinceMs = new Map<string, number>();
  const suspended = new Set<string>();
  const givenUp = new Set<string>();

  return {
    isSuspended: (address) => suspended.has(address),
    isGivenUp: (address) => givenUp.has(address),
    troubled(address, why, attempt) {
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(attempt, 10));
      if (!nodeTroubles.has(why)) {
        if (attempt >= retryLimit) return undefined;
        return attempt === 0 ? 0 : delayMs;
      }
      const sinceMs = troubledSinceMs.get(address) ?? Date.now();
      if (!troubledSinceMs.has(address)) {
        logger.warn({ node: address, class: why }, `${address} refuses keys: left alone for now`);
      }
      troubledSinceMs.set(address, sinceMs);
      suspended.add(address);
      if (Date.now() - sinceMs < retryForMs) return delayMs;
      if (!givenUp.has(address)) {
        logger.error(
          { node: address, class: why },
          `giving up on ${address}: its keys remain at the source`,
        );
      }
      givenUp.add(address);
      suspended.delete(address);
      return undefined;
    },
    passBegins() {
      suspended.clear();
    },
    succeeded(address) {
      suspended.delete(address);
      if (!troubledSinceMs.delete(address)) return;
      logger.info({ node: address }, `${address} takes keys again`);
    },
  };
}

/** What a batch for a node that was given up ends with. */
export function refused(batch: Batch): Outcome {
  const message = `${batch.node.address} could not be used for too long`;
  const failures = failuresOf(batch.keys, 'unavailable', message);
  const none = { moved: 0, gone: 0, repeated: 0, conflicting: 0, bytes: 0, retries: [] };
  return { ...none, failed: failures.length, failures };
}

export function failuresOf(keys: Keys, why: KeyFailure['class'], message: string): KeyFailure[] {
  return Array.from({ length: keys.count }, (_, place) => ({
    key: Buffer.from(keyAt(keys, place)),
    class: why,
    message,
  }));
}
