/** Looks at keys whose values were brought along, and stores nothing, for `--dry-run`. */
import { largeIds, typeOf } from '../../redis/value-record.js';
import { ImportError } from '../../errors.js';
import type { LargeValues, Mover } from '../../types.js';
import { countNoted, type CountingOptions } from '../counting.js';
import { outcomeBuilder } from '../outcome.js';

export interface CountBroughtOptions extends Omit<CountingOptions, 'openSource'> {
  readonly large: LargeValues;
  /** What TYPE calls a type, by its number in RDB files. */
  typeName(type: number): string;
}

export function countBrought(options: CountBroughtOptions): Mover {
  const { census, large } = options;
  return {
    name: 'count',
    async move(batch) {
      const { keys } = batch;
      const outcome = outcomeBuilder();
      try {
        const present = options.hasKeys ? (await options.present(batch, keys)).places.length : 0;
        census.present += present;
      } catch (error) {
        if (!(error instanceof ImportError)) throw error;
        outcome.retry(keys, { class: 'unavailable', message: error.message });
        return outcome.build();
      }
      const { values } = keys;
      for (let place = 0; values && place < keys.count; place++) {
        const at = values.starts[place] as number;
        const name = options.typeName(typeOf(values.bytes, at));
        census.types.set(name, (census.types.get(name) ?? 0) + 1);
      }
      for (const id of largeIds(keys)) large.done(id);
      census.shared += countNoted(options.isNoted, keys);
      outcome.moved += keys.count;
      return outcome.build();
    },
    close: () => undefined,
  };
}
