/** Takes batches as a mover does, and moves nothing: it looks at what is there, for `--dry-run`. */
import { ImportError } from '../errors.js';
import { largeIds, typeOf } from '../redis/value-record.js';
import type { Connection } from '../redis/connection.js';
import { keyAt, namesOf } from '../redis/frames.js';
import { ErrorReply, textOf } from '../redis/reply.js';
import type { Batch, Keys, LargeValues, Mover, Outcome } from '../types.js';
import { outcomeBuilder } from './outcome.js';
import { settleSourceRefusal } from './refused-keys.js';
import type { SideChannel } from './side-channel.js';

/** What was counted. */
export interface Census {
  /** How many keys of each type, as TYPE names them. */
  readonly types: Map<string, number>;
  /** How many of the keys the cluster has already. */
  present: number;
  /** How many of them another source has too, under the same name in the cluster. */
  shared: number;
}

export interface CountingOptions extends Pick<SideChannel, 'present'> {
  openSource(): Promise<Connection>;
  /** Whether the cluster holds any keys. */
  readonly hasKeys: boolean;
  readonly census: Census;
  /** Whether the name was noted before, by any source; notes it. Undefined: there is one source. */
  readonly isNoted: ((name: Buffer) => boolean) | undefined;
}

function countNoted(isNoted: CountingOptions['isNoted'], keys: Keys): number {
  if (!isNoted) return 0;
  const names = namesOf(keys);
  let count = 0;
  for (let at = 0; at < names.count; at++) if (isNoted(keyAt(names, at))) count++;
  return count;
}

export function counting(options: CountingOptions): Mover {
  const { census } = options;

  async function count(batch: Batch): Promise<Outcome> {
    const { keys } = batch;
    const outcome = outcomeBuilder();
    const source = await options.openSource();
    const indexes = Array.from({ length: keys.count }, (_, index) => index);
    const replies = await Promise.all(
      indexes.map((index) => source.call('TYPE', keyAt(keys, index))),
    );
    const refused = replies.find((reply) => reply instanceof ErrorReply);
    if (refused) {
      settleSourceRefusal(outcome, keys, refused.text, 'to tell its type');
      return outcome.build();
    }
    const types = replies.map(textOf).filter((type) => type !== 'none');
    outcome.gone += keys.count - types.length;
    if (batch.listedBefore) {
      // Mostly it was counted already.
      outcome.repeated += types.length;
      return outcome.build();
    }
    const present = options.hasKeys ? (await options.present(batch, keys)).indexes.length : 0;
    // Not before the answer is there: other batches are counted meanwhile.
    census.present += present;
    for (const type of types) census.types.set(type, (census.types.get(type) ?? 0) + 1);
    census.shared += countNoted(options.isNoted, keys);
    outcome.moved += types.length;
    return outcome.build();
  }

  return {
    name: 'count',
    async move(batch) {
      try {
        return await count(batch);
      } catch (error) {
        if (!(error instanceof ImportError)) throw error;
        const outcome = outcomeBuilder();
        outcome.retry(batch.keys, { class: 'unavailable', message: error.message });
        return outcome.build();
      }
    },
  };
}

interface CountBroughtOptions extends Omit<CountingOptions, 'openSource'> {
  readonly large: LargeValues;
  /** What TYPE calls a type, by its number in RDB files. */
  typeName(type: number): string;
}

/** The same for keys whose values were brought along. */
export function countBrought(options: CountBroughtOptions): Mover {
  const { census, large } = options;
  return {
    name: 'count',
    async move(batch) {
      const { keys } = batch;
      const outcome = outcomeBuilder();
      try {
        const present = options.hasKeys ? (await options.present(batch, keys)).indexes.length : 0;
        census.present += present;
      } catch (error) {
        if (!(error instanceof ImportError)) throw error;
        outcome.retry(keys, { class: 'unavailable', message: error.message });
        return outcome.build();
      }
      const { values } = keys;
      for (let index = 0; values && index < keys.count; index++) {
        const at = values.starts[index] as number;
        const name = options.typeName(typeOf(values.bytes, at));
        census.types.set(name, (census.types.get(name) ?? 0) + 1);
      }
      for (const id of largeIds(keys)) large.done(id);
      census.shared += countNoted(options.isNoted, keys);
      outcome.moved += keys.count;
      return outcome.build();
    },
  };
}
