/** What a writer writes: mostly to some hot keys, now and then to any, and sometimes a new one. */
import type { Random } from '../fuzz/random.js';
import {
  append,
  expire,
  increase,
  type Kind,
  kinds,
  persist,
  push,
  remove,
  setField,
  type Write,
} from './state.js';

type KeyWrite = readonly [key: string, write: Write];

/** The keys that are one writer's own. */
export interface Territory {
  /** A write to a key that no other write knew. */
  found(random: Random): KeyWrite;
  /** One of the keys so far. */
  any(random: Random): string;
}

/** As many of the first keys are written to much more often than others. */
const hotKeys = 40;

export function createTerritory(prefix: string): Territory {
  const keys: string[] = [];
  return {
    found(random) {
      const kind = random.pick(kinds);
      const key = `${kind}:${prefix}:${String(keys.length)}`;
      keys.push(key);
      return [key, changeOf(kind, key, random)];
    },
    any: (random) =>
      keys[random.int(random.oneIn(3) ? keys.length : Math.min(hotKeys, keys.length))] ?? '',
  };
}

export function nextWrite(random: Random, territory: Territory): KeyWrite {
  if (random.oneIn(5)) return territory.found(random);
  const key = territory.any(random);
  const chance = random.int(100);
  if (chance < 8) return [key, remove(key)];
  if (chance < 18) return [key, expire(key, 100_000 + random.int(1_000_000))];
  if (chance < 20) return [key, expire(key, 200 + random.int(3000))];
  if (chance < 23) return [key, persist(key)];
  return [key, changeOf(kindOf(key), key, random)];
}

export function kindOf(key: string): Kind {
  const [name] = key.split(':', 1);
  const kind = kinds.find((one) => one === name);
  if (!kind) throw new Error(`${key} is no key of a writer`);
  return kind;
}

function changeOf(kind: Kind, key: string, random: Random): Write {
  // Hardly ever the same twice, so that no two states of a key look alike.
  const token = random
    .int(2 ** 32)
    .toString(36)
    .padEnd(random.oneIn(40) ? 4000 : 8, '.');
  switch (kind) {
    case 'counter':
      return increase(key);
    case 'text':
      return append(key, token);
    case 'list':
      return push(key, token);
    case 'hash':
      return setField(key, String(random.int(6)), token);
  }
}
