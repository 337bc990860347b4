/**
 * How long questions to a server wait for their answers. A question is lost with its connection, and whoever asked
 * it asks again: as long as the server is silent, that is one wait, over however many connections.
 */

/** Connecting takes several ways there and back, which is none of what a client waits. */
const connectsWithinMs = 1000;

export interface Waits {
  /** A connection is being opened. */
  connecting(): void;
  connected(): void;
  /** @returns what `answered` wants. */
  asked(): number;
  answered(askedAtMs: number): void;
  /** The connection is gone, with what was asked. */
  lost(): void;
  /** It refuses, or is not there, and says so at once: nobody waits. */
  refused(): void;
  /** @returns the longest wait since the last call; what is not answered yet has waited for so long already. */
  take(): number;
}

export function createWaits(now: () => number = () => performance.now()): Waits {
  const askedAtMs = new Set<number>();
  /** Since when it has answered nothing, from before this connection on. */
  let silentSinceMs: number | undefined;
  let isConnected = false;
  let longestMs = 0;

  const silentMs = (): number => (silentSinceMs === undefined ? 0 : now() - silentSinceMs);

  return {
    connecting() {
      silentSinceMs ??= now();
    },
    connected() {
      isConnected = true;
      if (silentMs() < connectsWithinMs) silentSinceMs = undefined;
    },
    asked() {
      const atMs = now();
      askedAtMs.add(atMs);
      return atMs;
    },
    answered(atMs) {
      askedAtMs.delete(atMs);
      longestMs = Math.max(longestMs, now() - atMs, silentMs());
      silentSinceMs = undefined;
    },
    lost() {
      const [oldest] = askedAtMs;
      silentSinceMs ??= oldest;
      askedAtMs.clear();
      isConnected = false;
    },
    refused() {
      silentSinceMs = undefined;
    },
    take() {
      const [oldest] = askedAtMs;
      const isSilent = isConnected || silentMs() >= connectsWithinMs;
      const waitingMs = oldest === undefined ? 0 : now() - oldest;
      const told = Math.max(longestMs, waitingMs, isSilent ? silentMs() : 0);
      longestMs = 0;
      return told;
    },
  };
}
