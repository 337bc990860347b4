/**
 * How values look that a source brings along with their keys (`Keys.values`): for each key a head of
 * fixed size, then the bulk string frame that is the argument of SET or RESTORE. They are written
 * once where they are read, and sent as they are.
 */
import type { Keys } from '../types.js';

export const forms = {
  /** The frame is the value of a string. */
  value: 0,
  /** The frame is a payload. */
  payload: 1,
  /** In the frame's place stand the number of a large value, and its size in bytes. */
  large: 2,
} as const;

const typeAt = 1;
const deadlineAt = 2;
const hintAt = 10;
const headBytes = 14;
const largeEntryBytes = headBytes + 16;

export interface Head {
  readonly form: number;
  /** The type of the value, by the number that RDB files have for it. */
  readonly type: number;
  /** Ms since the epoch; -1: none. */
  readonly deadlineMs: number;
  /** For how long it was not used, in seconds; -1: not known. */
  readonly idleSeconds: number;
  /** How often it was used, by the servers' logarithmic count; -1: not known. */
  readonly frequency: number;
}

/** The head as bytes, valid until the next call. */
export function writeHead(form: number, head: Omit<Head, 'form'>): Buffer {
  const { type, deadlineMs, idleSeconds, frequency } = head;
  scratch[0] = form;
  scratch[typeAt] = type;
  scratch.writeDoubleLE(deadlineMs, deadlineAt);
  const hint =
    idleSeconds >= 0 ? Math.min(idleSeconds, 0x7ffffffe) + 1 : frequency >= 0 ? -frequency - 1 : 0;
  scratch.writeInt32LE(hint, hintAt);
  return scratch;
}
const scratch = Buffer.alloc(headBytes);

/** A whole entry for a large value. */
export function largeEntry(head: Omit<Head, 'form'>, id: number, size: number): Buffer {
  const entry = Buffer.alloc(largeEntryBytes);
  writeHead(forms.large, head).copy(entry);
  entry.writeDoubleLE(id, headBytes);
  entry.writeDoubleLE(size, headBytes + 8);
  return entry;
}

export const formOf = (bytes: Buffer, at: number): number => bytes[at] as number;
export const typeOf = (bytes: Buffer, at: number): number => bytes[at + typeAt] as number;
export const deadlineOf = (bytes: Buffer, at: number): number =>
  bytes.readDoubleLE(at + deadlineAt);
export const frameStart = (at: number): number => at + headBytes;

/** Words of RESTORE (since 5.0) that say how much the key was used; none where that is not known. */
export function hintsOf(bytes: Buffer, at: number): readonly [] | readonly [string, number] {
  const hint = bytes.readInt32LE(at + hintAt);
  if (hint === 0) return [];
  return hint > 0 ? ['IDLETIME', hint - 1] : ['FREQ', -hint - 1];
}

export function largeOf(bytes: Buffer, at: number): { id: number; size: number } {
  const from = frameStart(at);
  return { id: bytes.readDoubleLE(from), size: bytes.readDoubleLE(from + 8) };
}

/** The numbers of the large values among those that keys bring along. */
export function largeIds({ values, count }: Keys): number[] {
  const ids: number[] = [];
  for (let place = 0; values && place < count; place++) {
    const at = values.starts[place] as number;
    if (formOf(values.bytes, at) === forms.large) ids.push(largeOf(values.bytes, at).id);
  }
  return ids;
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const idBytes = 9;

/**
 * What a module's type is called, by the id that stands in dumps (moduleTypeEncodeId in module.c) as
 * a length of 64 bits: nine letters, and ten bits of version.
 */
export function moduleTypeAt(bytes: Buffer, at: number, end: number): string {
  if (at + idBytes > end) return '?';
  const id = bytes.readBigUInt64BE(at + 1);
  const letterAt = (nth: number): string =>
    letters[Number((id >> BigInt(58 - nth * 6)) & 63n)] ?? '';
  return Array.from({ length: 9 }, (_, nth) => letterAt(nth)).join('');
}
