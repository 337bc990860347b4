/**
 * What waits to be sent on one socket: small pieces copied once into large blocks.
 *
 * A command is put together where it leaves from; the blocks come from a pool and go back when the
 * kernel has them, so a stream of any length runs in the same few hundred kilobytes. Everything
 * that was appended during one turn of the event loop leaves in one write.
 */
import type { Socket } from 'node:net';

const blockBytes = 64 * 1024;
const pooledBlocks = 64;
const pool: Buffer[] = [];

export interface Output {
  /** Bytes that the kernel has not taken yet. */
  readonly unsentBytes: number;
  /** Appends `bytes[start .. end)`. */
  copy(bytes: Buffer, start: number, end: number): void;
  /** Appends all of it. */
  append(bytes: Buffer): void;
  /** Appends `$<n>\r\n<integer>\r\n`, the integer as decimal digits. */
  integerFrame(value: number): void;
  /** Calls back once, when no more than `bytes` wait to be sent (at once, if that is so now). */
  whenBelow(bytes: number, callback: () => void): void;
  /** Forgets what is unsent, and calls back everyone who waits: the socket is gone. */
  abandon(): void;
}

const dirty = new Set<() => void>();
function flushAll(): void {
  const flushes = [...dirty];
  dirty.clear();
  for (const flush of flushes) flush();
}

export function createOutput(socket: Socket): Output {
  let block = pool.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
  let used = 0;
  let inKernelQueue = 0;
  let abandoned = false;
  let waiters: { bytes: number; callback: () => void }[] = [];

  function flush(): void {
    if (used === 0 || abandoned) return;
    const full = block;
    const length = used;
    block = pool.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
    used = 0;
    inKernelQueue += length;
    socket.write(full.subarray(0, length), () => {
      inKernelQueue -= length;
      if (pool.length < pooledBlocks) pool.push(full);
      if (waiters.length > 0) wake();
    });
  }

  function wake(): void {
    const unsent = abandoned ? 0 : inKernelQueue + used;
    const ready = waiters.filter((waiter) => unsent <= waiter.bytes);
    if (ready.length === 0) return;
    waiters = waiters.filter((waiter) => unsent > waiter.bytes);
    for (const waiter of ready) waiter.callback();
  }

  function markDirty(): void {
    if (dirty.size === 0) setImmediate(flushAll);
    dirty.add(flush);
  }

  function copy(bytes: Buffer, start: number, end: number): void {
    if (abandoned) return;
    if (used === 0) markDirty();
    let from = start;
    while (end - from > blockBytes - used) {
      const part = blockBytes - used;
      bytes.copy(block, used, from, from + part);
      used = blockBytes;
      from += part;
      flush();
      markDirty();
    }
    const length = end - from;
    if (length <= 96) {
      // A copy by hand is cheaper than the call for what most pieces are.
      const to = block;
      for (let at = 0; at < length; at++) to[used + at] = bytes[from + at] as number;
    } else {
      bytes.copy(block, used, from, end);
    }
    used += length;
  }

  return {
    get unsentBytes() {
      return inKernelQueue + used;
    },
    copy,
    append: (bytes) => {
      copy(bytes, 0, bytes.length);
    },
    integerFrame(value) {
      const digits = String(value);
      const bytes = Buffer.from(`$${String(digits.length)}\r\n${digits}\r\n`, 'latin1');
      copy(bytes, 0, bytes.length);
    },
    whenBelow(bytes, callback) {
      waiters.push({ bytes, callback });
      wake();
    },
    abandon() {
      abandoned = true;
      wake();
    },
  };
}
