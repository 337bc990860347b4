/**
 * Whether a node has under some key just the value that the source brought along: for keys that were
 * there already, and, with `--verify`, for those that were stored just now.
 *
 * Such a value can't be asked for at a server. It is stored beside the key, under a temporary name in
 * the same slot, and the two are compared there. Values that the node gives back byte for byte need no
 * such effort.
 */
import { compareValue, sideOf } from '../../compare/value.js';
import { RefusedError } from '../../errors.js';
import { askAt } from '../../redis/ask.js';
import { deadlineOf, formOf, forms, frameStart } from '../../redis/value-record.js';
import type { Connection } from '../../redis/connection.js';
import { deadlineToleranceMs } from '../../compare/pair.js';
import { frame, keyAt, keyStart, namesOf, payloadTrailerBytes } from '../../redis/frames.js';
import { ErrorReply, type Reply } from '../../redis/reply.js';
import type { Batch } from '../../types.js';
import { temporaryNameFor } from '../elements/writer.js';
import { isPassing, type Refused } from '../refused-keys.js';

export interface Examined {
  readonly equal: readonly number[];
  readonly different: readonly number[];
  readonly refused: readonly Refused[];
}

/**
 * @param target must not carry values that pass through.
 * @param storeAs stores the value of the key at an index under another name, which is a frame.
 */
export async function examine(
  target: Connection,
  { keys, asking }: Pick<Batch, 'keys' | 'asking'>,
  indexes: readonly number[],
  storeAs: (index: number, name: Buffer) => Promise<unknown>,
): Promise<Examined> {
  const equal: number[] = [];
  const different: number[] = [];
  const refused: Refused[] = [];
  for (const index of indexes) {
    const found = await examineOne(index);
    if (typeof found === 'string') refused.push({ index, text: found });
    else (found ? equal : different).push(index);
  }
  return { equal, different, refused };

  /** @returns whether it is equal; a text: the node does not tell now. */
  async function examineOne(index: number): Promise<boolean | string> {
    const name = keyAt(namesOf(keys), index);
    const beside = temporaryNameFor(name);
    const reply = await storeAs(index, frame(beside));
    if (reply instanceof ErrorReply) return isPassing(reply.text) ? reply.text : false;
    try {
      const side = sideOf(target, { asking });
      const compared = await compareValue(beside, name, side, side);
      if (compared.same) return true;
      // It goes round again, as if the node had asked for that.
      return compared.gone === undefined ? false : 'TRYAGAIN it is gone now';
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return isPassing(error.reply) ? error.reply : false;
    } finally {
      if (asking) target.call('ASKING').catch(() => undefined);
      await target.call('DEL', beside).catch(() => undefined);
    }
  }
}

/**
 * The first pass over values that a node has taken just now: which of them it does not give back byte
 * for byte. Equal values may be given back in other bytes, so these are suspect, and no more than that.
 * @param target must not carry values that pass through.
 */
export async function suspectIndexes(
  target: Connection,
  { keys, asking }: Pick<Batch, 'keys' | 'asking'>,
  indexes: readonly number[],
): Promise<readonly number[]> {
  const { values } = keys;
  if (!values) return [];
  const names = namesOf(keys);
  const isSame = await Promise.all(
    indexes.map(async (index) => {
      const at = values.starts[index] as number;
      const form = formOf(values.bytes, at);
      // What was never held can't be compared here.
      if (form === forms.large) return false;
      const name = keyAt(names, index);
      const [found, ttlMs] = await Promise.all([
        ask(form === forms.value ? 'GET' : 'DUMP', name),
        ask('PTTL', name),
      ]);
      const trailer = form === forms.value ? 0 : payloadTrailerBytes;
      const from = keyStart(values.bytes, frameStart(at));
      const wanted = values.bytes.subarray(from, (values.starts[index + 1] as number) - 2);
      return (
        Buffer.isBuffer(found) &&
        found.length === wanted.length &&
        found.compare(wanted, 0, wanted.length - trailer, 0, found.length - trailer) === 0 &&
        isNear(Number(ttlMs), deadlineOf(values.bytes, at))
      );
    }),
  );
  return indexes.filter((_, at) => isSame[at] !== true);

  function ask(word: string, name: Buffer): Promise<Reply> {
    if (asking) target.call('ASKING').catch(() => undefined);
    return askAt(target, [word, name]);
  }
}

function isNear(ttlMs: number, deadlineMs: number): boolean {
  if (deadlineMs < 0 || ttlMs < 0) return deadlineMs < 0 && ttlMs === -1;
  return Math.abs(ttlMs - (deadlineMs - Date.now())) <= deadlineToleranceMs;
}
