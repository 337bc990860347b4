/**
 * What the nodes were given, kept until the keys are off the source: only what a run has stored itself,
 * and nobody has touched since, may be overwritten or deleted at a node (../policy.ts), and that can't be
 * told without it.
 *
 * Nothing is copied for that. The commands stay in the blocks that they left in (redis/output.ts), and are
 * taken apart only where somebody wrote to the source, or a connection was lost. Then each key gets its
 * value beside it (`Keys.values`, as redis/value-record.ts writes them), with which it goes round again.
 */
import { deadlineOf, formOf, forms, frameStart, writeHead } from '../../redis/value-record.js';
import {
  headerEnd,
  headerLength,
  keyAt,
  keysBuilder,
  keyStart,
  noKeys,
  STAR,
} from '../../redis/frames.js';
import type { Keys } from '../../types.js';
import type { AckReader, Form, SentCommands } from './splice.js';

/** Commands for some keys of a part, and what has to be known to take them apart. */
interface SentPart extends SentCommands {
  readonly keys: Keys;
  readonly acks: Pick<AckReader, 'indexOfSent' | 'sentCount'>;
  readonly form: Form;
  /** For each key its deadline in ms since the epoch, 0 for none; undefined when none has one. */
  readonly ttls: Float64Array | undefined;
  readonly asking: boolean;
}

/** How much may be kept at one time by all; beyond it what was sent is not known later. */
const mostKeptBytes = 64 * 1024 * 1024;
let keptBytes = 0;

/** What was sent for the keys of one batch, or of a part of it. */
export class SentValues {
  readonly #parts: SentPart[] = [];
  readonly #noted = new Map<string, Buffer>();
  #known: Map<string, Buffer> | undefined;
  #isReleased = false;

  hasRoom(): boolean {
    return keptBytes < mostKeptBytes;
  }

  keep(part: SentPart): void {
    // A source that was lost leaves parts that end later.
    if (this.#isReleased) {
      part.held.release();
      return;
    }
    keptBytes += part.held.byteLength;
    this.#parts.push(part);
    this.#known = undefined;
  }

  /** The node was given this in another way. */
  note(key: Buffer, record: Buffer): void {
    this.#noted.set(key.toString('latin1'), record);
  }

  /** The keys with what was sent of them beside them; an empty one where that is not known. */
  withValues(keys: Keys): Keys {
    if (keys.count === 0) return keys;
    this.#known ??= recordsOf(this.#parts);
    const records: (Buffer | undefined)[] = [];
    for (let index = 0; index < keys.count; index++) {
      const key = keyAt(keys, index).toString('latin1');
      records.push(this.#noted.get(key) ?? this.#known.get(key));
    }
    return withSentValues(keys, records);
  }

  release(): void {
    this.#isReleased = true;
    for (const { held } of this.#parts.splice(0)) {
      keptBytes -= held.byteLength;
      held.release();
    }
  }
}

/** Records by key, each as it stands beside a key. */
function recordsOf(parts: readonly SentPart[]): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (const part of parts) {
    const { keys, acks, ttls, form, asking } = part;
    const bytes = Buffer.concat(part.held.pieces());
    let at = 0;
    for (let sent = part.first; sent < acks.sentCount && at < bytes.length; sent++) {
      if (asking) at = commandAt(bytes, at)?.end ?? bytes.length;
      const found = commandAt(bytes, at);
      if (!found) break;
      at = found.end;
      const index = acks.indexOfSent(sent);
      const frame = found.frames[form === 'value' ? 2 : 3];
      if (!frame) break;
      const deadlineMs = ttls?.[index] ?? 0;
      const record = valueRecord(form, deadlineMs, bytes.subarray(frame.from, frame.to));
      records.set(keyAt(keys, index).toString('latin1'), record);
    }
  }
  return records;
}

interface Frame {
  readonly from: number;
  readonly to: number;
}

/** The command that begins there; undefined where it is not whole. */
function commandAt(bytes: Buffer, from: number): { frames: Frame[]; end: number } | undefined {
  if (bytes[from] !== STAR) return undefined;
  const cr = headerEnd(bytes, from, bytes.length);
  if (cr === -1) return undefined;
  const count = headerLength(bytes, from, cr);
  const frames: Frame[] = [];
  let at = cr + 2;
  for (let left = count; left > 0; left--) {
    const lineEnd = at < bytes.length ? headerEnd(bytes, at, bytes.length) : -1;
    if (lineEnd === -1) return undefined;
    const to = lineEnd + 2 + headerLength(bytes, at, lineEnd) + 2;
    if (to > bytes.length) return undefined;
    frames.push({ from: at, to });
    at = to;
  }
  return { frames, end: at };
}

/**
 * A value as it stands beside its key.
 * @param deadlineMs since the epoch; 0: it does not expire.
 * @param frame the bulk string that is the argument of SET or RESTORE.
 */
export function valueRecord(form: Form, deadlineMs: number, frame: Buffer): Buffer {
  const head = writeHead(forms[form], {
    type: 0,
    deadlineMs: deadlineMs === 0 ? -1 : deadlineMs,
    idleSeconds: -1,
    frequency: -1,
  });
  return Buffer.concat([head, frame]);
}

/** A value that a node was given. */
export interface SentValue {
  readonly form: Form;
  /** Ms since the epoch; 0: it does not expire. */
  readonly deadlineMs: number;
  /** The string, or the payload. */
  readonly bytes: Buffer;
  /** The same as a bulk string. */
  readonly frame: Buffer;
}

/** What was sent of the key at this index; undefined where that is not known. */
export function sentValueOf({ values }: Keys, index: number): SentValue | undefined {
  if (!values) return undefined;
  const at = values.starts[index] as number;
  const end = values.starts[index + 1] as number;
  if (end === at) return undefined;
  const deadlineMs = deadlineOf(values.bytes, at);
  const from = frameStart(at);
  return {
    form: formOf(values.bytes, at) === forms.value ? 'value' : 'payload',
    deadlineMs: deadlineMs < 0 ? 0 : deadlineMs,
    bytes: values.bytes.subarray(keyStart(values.bytes, from), end - 2),
    frame: values.bytes.subarray(from, end),
  };
}

/** The keys with these values beside them, one for each; undefined: it is not known. */
export function withSentValues(keys: Keys, records: readonly (Buffer | undefined)[]): Keys {
  const values = keysBuilder(Math.max(1, keys.count));
  for (const record of records) {
    if (record) values.piece(record, 0, record.length);
    values.seal();
  }
  return { ...keys, values: keys.count === 0 ? noKeys : values.take() };
}
