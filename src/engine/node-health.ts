/**
 * When keys that could not move go round again, and which nodes are left alone meanwhile.
 *
 * A node that refuses or does not answer is suspended: its keys stay at the source, where a later
 * pass finds them, while the run goes on with the other nodes. The few batches that were in flight
 * to it come back after a delay that grows, and are the probe: the first that gets through ends the
 * suspension. A node that has refused for longer than `retryForMs` is given up.
 *
 * Where no node can be used any more, or the nodes themselves say that the cluster is down, nothing is given
 * up key by key: the run stops.
 */
import { keyAt } from '../redis/keys.js';
import { TargetError, withoutStop } from '../errors.js';
import type { Batch, FailureClass, KeyFailure, Keys, Outcome } from '../types.js';
import type { ServerStates } from './server-states.js';

const firstDelayMs = 50;
const longestDelayMs = 2000;

/** Refusals that say something of the node, not of the keys. */
export const nodeTroubles: ReadonlySet<FailureClass> = new Set(['unavailable', 'oom']);

export interface NodeHealth {
  isSuspended(address: string): boolean;
  /** What it was given up for; undefined: it was not. */
  givenUpFor(address: string): Pick<Trouble, 'why' | 'message'> | undefined;
  /**
   * A batch came back with keys to retry, and with this message.
   * @returns after how many ms they go round, or undefined: no more.
   * @throws TargetError when no node is left that could be used.
   */
  troubled(
    address: string,
    why: FailureClass,
    attempt: number,
    message: string,
  ): number | undefined;
  /** It answered for keys as it should. */
  succeeded(address: string): void;
  /** A new pass begins: the suspended are tried again, though their time goes on. */
  passBegins(): void;
}

export interface NodeHealthOptions {
  /** How long a node may refuse before it is given up. */
  readonly retryForMs: number;
  /** How often keys go round for reasons of their own. */
  readonly retryLimit: number;
  readonly states: Pick<ServerStates, 'went' | 'isBack' | 'gaveUp'>;
  /** The nodes that own slots now. */
  readonly owners: () => readonly string[];
}

interface Trouble {
  readonly sinceMs: number;
  readonly why: FailureClass;
  readonly message: string;
}

/** The name under which its state is told. */
const theCluster = 'The cluster';
/** What a node answers that is well itself: it sees no majority, or some slot has no owner. */
const clusterDown = /\bCLUSTERDOWN\b/;

export function nodeHealth(options: NodeHealthOptions): NodeHealth {
  const { retryForMs, retryLimit, states } = options;
  const troubles = new Map<string, Trouble>();
  const suspended = new Set<string>();
  const givenUp = new Set<string>();

  /** @returns since when, and in whose words. */
  function downSince(): { sinceMs: number; words: string } | undefined {
    const unusable = [...troubles.values()].filter(({ why }) => why === 'unavailable');
    const saidSo = unusable.find(({ message }) => clusterDown.test(message));
    const owners = options.owners();
    const isAnyWell = owners.some((address) => troubles.get(address)?.why !== 'unavailable');
    if (!saidSo && (isAnyWell || owners.length === 0)) return undefined;
    const sinceMs = Math.min(...unusable.map((trouble) => trouble.sinceMs));
    return { sinceMs, words: (saidSo ?? unusable[0])?.message ?? '' };
  }

  return {
    isSuspended: (address) => suspended.has(address),
    givenUpFor: (address) => (givenUp.has(address) ? troubles.get(address) : undefined),
    troubled(address, why, attempt, message) {
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(attempt, 10));
      if (!nodeTroubles.has(why)) {
        if (attempt >= retryLimit) return undefined;
        return attempt === 0 ? 0 : delayMs;
      }
      const sinceMs = troubles.get(address)?.sinceMs ?? Date.now();
      troubles.set(address, { sinceMs, why, message });
      const fields = { class: why };
      const isClusterDown = clusterDown.test(message);
      if (isClusterDown) {
        const sentence = 'The cluster is down: its keys wait at the source';
        states.went(theCluster, { why: message, sentence });
      }
      states.went(address, {
        why: message,
        sentence: isClusterDown ? undefined : `${address} refuses keys: left alone for now`,
        fields,
      });
      suspended.add(address);
      if (Date.now() - sinceMs < retryForMs) return delayMs;
      const down = why === 'unavailable' ? downSince() : undefined;
      if (down) throw clusterIsDown(down);
      givenUp.add(address);
      suspended.delete(address);
      states.gaveUp(address, {
        why: message,
        sentence: `giving up on ${address}: its keys remain at the source`,
        fields,
      });
      return undefined;
    },
    passBegins() {
      suspended.clear();
    },
    succeeded(address) {
      if (givenUp.has(address)) return;
      suspended.delete(address);
      if (!troubles.delete(address)) return;
      states.isBack(address);
      states.isBack(theCluster);
    },
  };
}

function clusterIsDown({ sinceMs, words }: { sinceMs: number; words: string }): TargetError {
  const seconds = Math.round((Date.now() - sinceMs) / 1000);
  return new TargetError(
    `The cluster has been down for ${String(seconds)} s (${words}): bring it up, then run the same command again.`,
  );
}

/** What a batch for a node that was given up ends with. */
export function refused(batch: Batch, { why, message }: Pick<Trouble, 'why' | 'message'>): Outcome {
  const failures = failuresOf(batch.keys, why, `${withoutStop(message)}; its node is given up`);
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
