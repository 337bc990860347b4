/** Holds runs at the moments that matter, where they would be over before a test could act. */
import type { Proxy } from './proxy.js';

/** A SCAN for a hundred keys or more. */
const manyKeys = /SCAN\r\n[^*]*COUNT\r\n\$[3-6]\r\n/;

/**
 * Nothing passes any more once so many bytes have come from the source; resolves then. The run is
 * halfway for as long as the test wants, without any guess at its speed.
 */
export function stallAfter(proxy: Proxy, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    let passed = 0;
    proxy.faults.corrupt = (chunk, direction) => {
      if (direction === 'down') passed += chunk.length;
      if (passed >= bytes) {
        proxy.faults.corrupt = undefined;
        proxy.stall();
        resolve();
      }
      return chunk;
    };
  });
}

/**
 * Holds a run at the one moment that matters for what a key may meet on the way: it has been listed,
 * and has not been read yet.
 *
 * Once a reply that names this key has passed the proxy in front of the source, nothing passes any
 * more until the action is done. Resolves when that has happened. (The checks before the start list
 * some keys as well, but fewer at a time.)
 */
export function whenListed(proxy: Proxy, key: string, action: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    let isListing = false;
    proxy.faults.corrupt = (chunk, direction) => {
      isListing ||= direction === 'up' && manyKeys.test(chunk.toString('latin1'));
      if (isListing && direction === 'down' && chunk.includes(key)) {
        proxy.faults.corrupt = undefined;
        proxy.stall();
        action()
          .finally(() => {
            proxy.resume();
          })
          .then(resolve, reject);
      }
      return chunk;
    };
  });
}
