/**
 * Values that are too large to be held: read again from the file when they are sent, or, where that
 * is standard input or compressed, from a temporary file each.
 */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Gate } from '../../async.js';
import type { LargeValues } from '../../types.js';
import type { LargeExtent } from '../rdb/entry.js';

const pieceBytes = 256 * 1024;
/** How many may be on their way, or wait for their node, before the source is read on. */
const mostKept = 4;

export interface LargeKeeper extends LargeValues {
  /** Undefined: pieces need not be kept. */
  readonly piece: ((bytes: Buffer) => Promise<void>) | undefined;
  /**
   * All of a value was seen. @returns its number.
   * @param head what stands ahead of it in its payload. @param trailer what stands behind.
   */
  keep(extent: LargeExtent, head: Buffer, trailer: Buffer): number;
  /** Waits until few are kept. */
  room(): Promise<void>;
  /** Ends all waiting. */
  stop(): void;
  close(): Promise<void>;
}

interface Kept {
  readonly from: { readonly file: FileHandle; readonly at: number };
  readonly size: number;
  readonly head: Buffer;
  readonly trailer: Buffer;
  readonly discard: () => Promise<void>;
}

export function largeKeeper(source: FileHandle | undefined): LargeKeeper {
  const kept = new Map<number, Kept>();
  let count = 0;
  let stopped = false;
  const gate = new Gate();
  let current: FileHandle | undefined;

  async function spool(bytes: Buffer): Promise<void> {
    current ??= await openUnnamed();
    for (let at = 0; at < bytes.length;) {
      at += (await current.write(bytes, at)).bytesWritten;
    }
  }

  return {
    piece: source ? undefined : spool,
    keep({ at, size }, head, trailer) {
      const own = current;
      current = undefined;
      const from = own ? { file: own, at: 0 } : source && { file: source, at };
      if (!from) throw new Error('a large value was not kept');
      const discard = async (): Promise<void> => {
        await own?.close();
      };
      kept.set(++count, { from, size, head, trailer, discard });
      return count;
    },
    async *pieces(id) {
      const value = kept.get(id);
      if (!value) throw new Error(`there is no large value ${String(id)}`);
      const { from, size, head, trailer } = value;
      yield head;
      const buffer = Buffer.allocUnsafe(pieceBytes);
      for (let done = 0; done < size;) {
        const wanted = Math.min(pieceBytes, size - done);
        const { bytesRead } = await from.file.read(buffer, 0, wanted, from.at + done);
        if (bytesRead === 0) throw new Error('the file became shorter while it was read');
        yield buffer.subarray(0, bytesRead);
        done += bytesRead;
      }
      yield trailer;
    },
    done(id) {
      const value = kept.get(id);
      if (!value) return;
      kept.delete(id);
      value.discard().catch(() => undefined);
      gate.check();
    },
    room: () => gate.until(() => kept.size < mostKept || stopped),
    stop() {
      stopped = true;
      gate.check();
    },
    async close() {
      for (const { discard } of kept.values()) await discard().catch(() => undefined);
      await current?.close();
    },
  };
}

/** A file without a name: what it holds is gone with this process, however that ends. */
async function openUnnamed(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'cluster-import-'));
  try {
    return await open(join(folder, 'value'), 'wx+', 0o600);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
