/**
 * What a client of the source feels: how long a PING takes, asked now and then while the run lasts.
 */
const intervalMs = 1000;

export interface Probe {
  stop(): void;
}

/** @param ping resolves with the answer; when it rejects, that round tells nothing. */
export function probeLatency(ping: () => Promise<unknown>, tell: (seconds: number) => void): Probe {
  let isAsking = false;
  async function ask(): Promise<void> {
    if (isAsking) return;
    isAsking = true;
    const sentAt = performance.now();
    try {
      await ping();
      tell((performance.now() - sentAt) / 1000);
    } catch {
      // A lost source is the pipeline's to tell.
    } finally {
      isAsking = false;
    }
  }
  const timer = setInterval(() => void ask(), intervalMs);
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
    },
  };
}
