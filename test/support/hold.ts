/** Holds runs at the moments that matter, where they would be over before a test could act. */
import type { Proxy } from './proxy.js';

/** A SCAN for a hundred keys or more. */
const manyKeys = /SCAN\r\n[^*]*COUNT\r\n\$[3-6]\r\n/;

type Passes = NonNullable<Proxy['faults']['corrupt']>;

/** Nothing passes any more behind the first chunk of which that is true; resolves then. */
function stallBehind(
  proxy: Proxy,
  isLast: (...passing: Parameters<Passes>) => boolean,
): Promise<void> {
  return new Promise((resolve) => {
    proxy.faults.corrupt = (...passing) => {
      if (isLast(...passing)) {
        proxy.faults.corrupt = undefined;
        proxy.stall();
        resolve();
      }
      return passing[0];
    };
  });
}

/**
 * Nothing passes any more once so many bytes have come from the source; resolves then. The run is
 * halfway for as long as the test wants, without any guess at its speed.
 */
export function stallAfter(proxy: Proxy, bytes: number): Promise<void> {
  let passed = 0;
  return stallBehind(proxy, (chunk, direction) => {
    if (direction === 'down') passed += chunk.length;
    return passed >= bytes;
  });
}

/**
 * Nothing passes any more once the source was told so many times to let keys go; resolves then. It
 * gets the whole of that command, so those keys leave it; what it answers waits. The relay sends the
 * next one only when it has the answer to the one before.
 */
export function stallAtRemoval(proxy: Proxy, times = 1): Promise<void> {
  const readers = new Map<object, (chunk: Buffer) => number>();
  let removals = 0;
  let isListing = false;
  return stallBehind(proxy, (chunk, direction, connection) => {
    if (direction === 'down') return false;
    // What the checks before the start try does not count.
    isListing ||= manyKeys.test(chunk.toString('latin1'));
    const read = readers.get(connection) ?? removalReader();
    readers.set(connection, read);
    const found = read(chunk);
    if (isListing) removals += found;
    return removals >= times;
  });
}

/**
 * Nothing passes any more once the source is asked for its first page of keys; resolves then. What it answers waits, so
 * nothing is listed before the proxy goes on.
 */
export function stallAtListing(proxy: Proxy): Promise<void> {
  return stallBehind(
    proxy,
    (chunk, direction) => direction === 'up' && manyKeys.test(chunk.toString('latin1')),
  );
}

const removing = new Set(['EVALSHA', 'UNLINK', 'DEL', 'MIGRATE']);

/** @returns counts the commands that end in a chunk of a connection, and by which keys leave. */
function removalReader(): (chunk: Buffer) => number {
  let rest: Buffer = Buffer.alloc(0);
  let isQueued = false;
  let inTransaction = false;

  function isRemoval(name: string): boolean {
    if (name === 'MULTI') [inTransaction, isQueued] = [true, false];
    if (name === 'EXEC') {
      inTransaction = false;
      return isQueued;
    }
    if (!removing.has(name)) return false;
    isQueued ||= inTransaction;
    return !inTransaction;
  }

  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    let found = 0;
    for (let command = commandIn(rest); command; command = commandIn(rest)) {
      rest = rest.subarray(command.end);
      if (isRemoval(command.name)) found++;
    }
    return found;
  };
}

/** The first command in what a client has sent; undefined while it is not whole. */
function commandIn(bytes: Buffer): { name: string; end: number } | undefined {
  let at = 0;
  const lengthHere = (): number | undefined => {
    const end = bytes.indexOf('\r\n', at);
    if (end === -1) return undefined;
    const length = Number(bytes.toString('latin1', at + 1, end));
    at = end + 2;
    return length;
  };
  const words = lengthHere();
  if (words === undefined) return undefined;
  let name = '';
  for (let word = 0; word < words; word++) {
    const length = lengthHere();
    if (length === undefined || at + length + 2 > bytes.length) return undefined;
    if (word === 0) name = bytes.toString('latin1', at, at + length).toUpperCase();
    at += length + 2;
  }
  return { name, end: at };
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
