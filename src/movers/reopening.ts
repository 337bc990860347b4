/** A connection that is opened when it is first asked for, and again when it was lost. */
import type { Connection } from '../redis/connection.js';

export interface Reopening<T> {
  /** What is open, or is being opened; a failure is forgotten, so that the next call tries again. */
  get(): Promise<T>;
  close(): void;
}

/**
 * @param open gives the connection, or what belongs to it.
 * @param connectionOf finds the connection in what `open` gave.
 */
export function reopening<T>(
  open: () => Promise<T>,
  connectionOf: (opened: T) => Connection,
): Reopening<T> {
  let current: Promise<T> | undefined;
  return {
    get() {
      if (current) return current;
      const opening = open().then((opened) => {
        connectionOf(opened).onLost(() => (current = undefined));
        return opened;
      });
      current = opening;
      opening.catch(() => (current = undefined));
      return opening;
    },
    close() {
      // One that could not be opened was reported already.
      current?.then(
        (opened) => {
          connectionOf(opened).close();
        },
        () => undefined,
      );
    },
  };
}

/** The same for a connection with nothing around it. */
export function reopeningConnection(open: () => Promise<Connection>): Reopening<Connection> {
  return reopening(open, (connection) => connection);
}
