/**
 * Holds a run at the one moment that matters for what a key may meet on the way: it has been listed,
 * and has not been read yet.
 */
import type { Proxy } from './proxy.js';

/**
 * Once a reply that names this key has passed the proxy in front of the source, nothing passes any
 * more until the action is done. Resolves when that has happened.
 */
export function whenListed(proxy: Proxy, key: string, action: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    proxy.faults.corrupt = (chunk, direction) => {
      if (direction === 'down' && chunk.includes(key)) {
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
