/**
 * Says when a server is lost and when it is there again: once each, however many connections to it
 * broke at the same time.
 */
import type { Connection } from '../redis/connection.js';
import type { Logger } from '../types.js';

export interface ConnectionLog {
  opened(connection: Pick<Connection, 'address' | 'onLost'>): void;
  /** What is lost from now on is our own doing. */
  close(): void;
}

export function connectionLog(logger: Logger): ConnectionLog {
  const lost = new Set<string>();
  let closing = false;
  return {
    opened(connection) {
      const { address } = connection;
      if (lost.delete(address)) logger.info({ server: address }, `connected to ${address} again`);
      connection.onLost((error) => {
        if (closing || lost.has(address)) return;
        lost.add(address);
        logger.warn({ server: address, reason: error.message }, `lost ${address}; trying again`);
      });
    },
    close() {
      closing = true;
    },
  };
}
