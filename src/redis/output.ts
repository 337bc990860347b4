/**
 * What waits to be sent on one socket: small pieces copied once into large blocks.
 *
 * A command is put together where it leaves from; the blocks come from a pool and go back when the
 * kernel has them and nobody holds what was sent, so a stream of any length runs in the same few megabytes. Everything
 * that was appended during one turn of the event loop leaves in one write.
 */
import type { Socket } from 'node:net';
import type { Keys } from '../types.js';
import { copyShort, shortBytes, slackBytes, viewFrom } from './frames.js';

const blockBytes = 64 * 1024;
/**
 * As many as values of some kilobytes have under way, which are held until their keys are deleted: with fewer, blocks
 * are made all the time, and V8 collects garbage for what they take (npm run bench -- gate).
 */
const pooledBlocks = 512;

interface Block {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** How many hold it: the output, until the kernel has it, and each `Held` with a piece of it. */
  holders: number;
}

/** Bytes that were sent, kept as they were: the blocks that they left in. */
export interface Held {
  readonly byteLength: number;
  /** Not to be called once it is released. */
  pieces(): readonly Buffer[];
  /** Lets the blocks be used again; to be called once. */
  release(): void;
}

const pool: Block[] = [];

export interface Output {
  /** From here on what is appended is kept as well, until `endHold`. One hold at a time. */
  beginHold(): void;
  endHold(): Held;
  /** Bytes that the kernel has not taken yet. */
  readonly unsentBytes: number;
  /** Appends `bytes[start .. end)`. */
  copy(bytes: Buffer, start: number, end: number): void;
  /** Appends all of it. */
  append(bytes: Buffer): void;
  /**
   * Appends a whole command: what stands ahead of the key, the key's frame, what stands between it and
   * the value, the value's frame, and what follows. Cheaper than one by one.
   */
  store(
    prefix: Buffer,
    keys: Buffer,
    keyStart: number,
    keyEnd: number,
    between: Buffer,
    values: Buffer,
    valueStart: number,
    valueEnd: number,
    suffix: Buffer,
  ): void;
  /** Appends a command for each key: this head, and the key's frame. */
  askEach(head: Buffer, keys: Keys): void;
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
  let block = takeBlock();
  let used = 0;
  let inKernelQueue = 0;
  let abandoned = false;
  let waiters: { bytes: number; callback: () => void }[] = [];
  let hold: { readonly pieces: HeldPiece[]; from: number } | undefined;
  const [prefixView, keysView, valuesView] = [lastView(), lastView(), lastView()];

  function flush(): void {
    if (used === 0 || abandoned) return;
    const full = block;
    const length = used;
    if (hold) {
      holdPiece(hold.pieces, full, hold.from, length);
      hold.from = 0;
    }
    block = takeBlock();
    used = 0;
    inKernelQueue += length;
    socket.write(full.bytes.subarray(0, length), () => {
      inKernelQueue -= length;
      letGo(full);
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
      bytes.copy(block.bytes, used, from, from + part);
      used = blockBytes;
      from += part;
      flush();
      markDirty();
    }
    const length = end - from;
    if (length <= 48) {
      // A copy by hand is cheaper than the call for what most pieces are.
      const to = block.bytes;
      for (let at = 0; at < length; at++) to[used + at] = bytes[from + at] as number;
    } else {
      bytes.copy(block.bytes, used, from, end);
    }
    used += length;
  }

  function append(bytes: Buffer): void {
    copy(bytes, 0, bytes.length);
  }

  return {
    get unsentBytes() {
      return inKernelQueue + used;
    },
    beginHold() {
      hold = { pieces: [], from: used };
    },
    endHold() {
      const { pieces, from } = hold ?? { pieces: [], from: used };
      hold = undefined;
      holdPiece(pieces, block, from, used);
      return heldOf(pieces);
    },
    copy,
    append,
    store(prefix, keys, keyStart, keyEnd, between, values, valueStart, valueEnd, suffix) {
      const keyBytes = keyEnd - keyStart;
      const valueBytes = valueEnd - valueStart;
      const fixedBytes = prefix.length + between.length + suffix.length;
      const room = blockBytes - used - fixedBytes - keyBytes - valueBytes;
      const ahead = prefixView(prefix);
      const key = keysView(keys);
      const value = valuesView(values);
      const isShort =
        !abandoned &&
        room >= 0 &&
        keyBytes <= shortBytes &&
        valueBytes <= shortBytes &&
        prefix.length + slackBytes <= ahead.byteLength &&
        keyEnd + slackBytes <= key.byteLength &&
        valueEnd + slackBytes <= value.byteLength;
      if (!isShort) {
        append(prefix);
        copy(keys, keyStart, keyEnd);
        if (between.length > 0) append(between);
        copy(values, valueStart, valueEnd);
        if (suffix.length > 0) append(suffix);
        return;
      }
      if (used === 0) markDirty();
      const { bytes, view } = block;
      copyShort(ahead, 0, view, used, prefix.length);
      used += prefix.length;
      copyShort(key, keyStart, view, used, keyBytes);
      used += keyBytes;
      for (let at = 0; at < between.length; at++) bytes[used++] = between[at] as number;
      copyShort(value, valueStart, view, used, valueBytes);
      used += valueBytes;
      for (let at = 0; at < suffix.length; at++) bytes[used++] = suffix[at] as number;
    },
    askEach(head, keys) {
      const ahead = prefixView(head);
      const key = keysView(keys.bytes);
      const headIsShort = head.length + slackBytes <= ahead.byteLength;
      for (let place = 0; place < keys.count; place++) {
        const start = keys.starts[place] as number;
        const end = keys.starts[place + 1] as number;
        const room = blockBytes - used - head.length - (end - start);
        if (
          !headIsShort ||
          abandoned ||
          room < 0 ||
          end - start > shortBytes ||
          end + slackBytes > key.byteLength
        ) {
          append(head);
          copy(keys.bytes, start, end);
          continue;
        }
        if (used === 0) markDirty();
        copyShort(ahead, 0, block.view, used, head.length);
        used += head.length;
        copyShort(key, start, block.view, used, end - start);
        used += end - start;
      }
    },
    integerFrame(value) {
      // The longest is of 19 digits and a sign, behind a header of five bytes.
      if (value < 0 || value >= mostByHand || abandoned || blockBytes - used < 32) {
        const digits = String(value);
        append(Buffer.from(`$${String(digits.length)}\r\n${digits}\r\n`, 'latin1'));
        return;
      }
      if (used === 0) markDirty();
      used = writeInteger(block.bytes, used, value);
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

function takeBlock(): Block {
  const pooled = pool.pop();
  if (pooled) {
    pooled.holders = 1;
    return pooled;
  }
  const bytes = Buffer.allocUnsafeSlow(blockBytes + slackBytes);
  return { bytes, view: viewFrom(bytes), holders: 1 };
}

function letGo(block: Block): void {
  if (--block.holders === 0 && pool.length < pooledBlocks) pool.push(block);
}

interface HeldPiece {
  readonly block: Block;
  readonly from: number;
  readonly to: number;
}

function holdPiece(pieces: HeldPiece[], block: Block, from: number, to: number): void {
  if (to === from) return;
  block.holders++;
  pieces.push({ block, from, to });
}

function heldOf(pieces: readonly HeldPiece[]): Held {
  return {
    byteLength: pieces.reduce((sum, { from, to }) => sum + to - from, 0),
    pieces: () => pieces.map(({ block, from, to }) => block.bytes.subarray(from, to)),
    release() {
      for (const { block } of pieces) letGo(block);
    },
  };
}

/** Views, made anew only when others are asked for than the last time. */
function lastView(): (bytes: Buffer) => DataView {
  let last: Buffer | undefined;
  let view: DataView | undefined;
  return (bytes) => {
    if (view === undefined || bytes !== last) {
      last = bytes;
      view = viewFrom(bytes);
    }
    return view;
  };
}

const ZERO = 48;
/** Above it, integers are left to String(): points in time are far below. */
const mostByHand = 1e15;

/** Writes the frame of a whole number of up to 15 digits. @returns where it ends. */
function writeInteger(to: Buffer, from: number, value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  let at = from;
  to[at++] = 36;
  if (digits >= 10) to[at++] = ZERO + 1;
  to[at++] = ZERO + (digits % 10);
  to[at++] = 13;
  to[at++] = 10;
  // In two halves, which fit into small integers.
  let high = Math.floor(value / 1e6);
  let low = value - high * 1e6;
  const lowDigits = Math.min(6, digits);
  for (let place = 1; place <= lowDigits; place++) {
    to[at + digits - place] = ZERO + (low % 10);
    low = (low / 10) | 0;
  }
  for (let place = 7; place <= digits; place++) {
    to[at + digits - place] = ZERO + (high % 10);
    high = Math.floor(high / 10);
  }
  at += digits;
  to[at] = 13;
  to[at + 1] = 10;
  return at + 2;
}
