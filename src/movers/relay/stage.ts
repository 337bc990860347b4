/**
 * `--verify`: values are stored under temporary names, compared there, and only then given their own ones.
 * Under its own name a copy belongs to the clients of the cluster at once, and what they did to it could
 * not be told from damage on the way. And damage is never seen by anybody.
 *
 * Temporary names have a deadline, so that a run that is killed leaves nothing for good.
 */
import { sideOf } from '../../compare/value.js';
import type { Connection } from '../../redis/connection.js';
import { frame } from '../../redis/frames.js';
import { keyAt, keysBuilder, namesOf } from '../../redis/keys.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Batch, Keys } from '../../types.js';
import { temporaryNameFor } from '../elements/temporary.js';
import type { Refused } from '../refusals.js';
import { deadlineIn, isNear } from './deadlines.js';

/** What became of keys whose values were found to be right; each is in one of these. */
export interface Placed {
  readonly placed: readonly number[];
  /** The node has a key of that name, which may not be overwritten. */
  readonly existing: readonly number[];
  /** It does not have the deadline that was sent. */
  readonly late: readonly number[];
  readonly refused: readonly Refused[];
}

export interface Stage {
  /**
   * The keys under temporary names.
   * @param deadlines of the keys, 0 for none; may be filled in later.
   */
  begin(keys: Keys, deadlines: Float64Array | undefined): Keys;
  /** They get their own names in another way after all. */
  forget(keys: Keys): void;
  /** Which of the keys stand under temporary names. */
  indexesOf(keys: Keys): readonly number[];
  /** Keys that were begun with, under the same temporary names. */
  staged(keys: Keys): Keys;
  /** Gives keys their own names. */
  place(
    lane: Connection,
    at: Pick<Batch, 'asking'>,
    keys: Keys,
    overwrite: boolean,
  ): Promise<Placed>;
  /** Deletes what stands under temporary names. */
  discard(lane: Connection, at: Pick<Batch, 'asking'>, keys: Keys): Promise<void>;
}

interface Staged {
  readonly name: Buffer;
  readonly deadlineMs: () => number;
}

export function createStage(): Stage {
  const known = new Map<string, Staged>();

  function of(keys: Keys, index: number): Staged {
    const found = known.get(keyAt(keys, index).toString('latin1'));
    if (!found) throw new Error('a key that was not stored under a temporary name');
    return found;
  }

  function staged(keys: Keys): Keys {
    const names = keysBuilder(Math.max(1, keys.count));
    for (let index = 0; index < keys.count; index++) {
      const name = frame(of(keys, index).name);
      names.add(name, 0, name.length);
    }
    return { ...keys, names: names.take() };
  }

  return {
    staged,
    forget(keys) {
      for (let index = 0; index < keys.count; index++) {
        known.delete(keyAt(keys, index).toString('latin1'));
      }
    },
    indexesOf: (keys) =>
      [...Array(keys.count).keys()].filter((index) =>
        known.has(keyAt(keys, index).toString('latin1')),
      ),
    begin(keys, deadlines) {
      for (let index = 0; index < keys.count; index++) {
        const name = temporaryNameFor(keyAt(namesOf(keys), index));
        const deadlineMs = (): number => deadlines?.[index] ?? 0;
        known.set(keyAt(keys, index).toString('latin1'), { name, deadlineMs });
      }
      return staged(keys);
    },
    async place(lane, { asking }, keys, overwrite) {
      const side = sideOf(lane, { asking });
      const placed: number[] = [];
      const existing: number[] = [];
      const late: number[] = [];
      const refused: Refused[] = [];
      const word = overwrite ? 'RENAME' : 'RENAMENX';
      await Promise.all(
        [...Array(keys.count).keys()].map(async (index) => {
          const { name, deadlineMs: deadlineOf } = of(keys, index);
          const deadlineMs = deadlineOf();
          const real = keyAt(namesOf(keys), index);
          if (deadlineMs === 0) void side.ask(['PERSIST', name]).catch(() => undefined);
          else if (!isNear(deadlineIn(await side.ask(['PTTL', name])), deadlineMs)) {
            late.push(index);
            return;
          }
          const reply = await side.ask([word, name, real]);
          if (reply instanceof ErrorReply) refused.push({ place: index, text: reply.text });
          else if (reply === (overwrite ? 'OK' : 1)) placed.push(index);
          else if (reply === 0) existing.push(index);
          else refused.push({ place: index, text: 'ERR a malformed reply to RENAME' });
        }),
      );
      const sorted = placed.sort((one, other) => one - other);
      return { placed: sorted, existing, late, refused };
    },
    async discard(lane, { asking }, keys) {
      const side = sideOf(lane, { asking });
      await Promise.all(
        [...Array(keys.count).keys()].map((index) => side.ask(['DEL', of(keys, index).name])),
      );
    },
  };
}
