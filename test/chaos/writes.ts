/** What a writer writes: mostly to some hot keys, now and then to any, and sometimes a new one. */
import type { Random } from '../support/random.js';
import {
  addMembers,
  append,
  decrease,
  expire,
  increase,
  type Kind,
  kindOf,
  kinds,
  persist,
  push,
  remove,
  setFields,
  type Write,
} from './state.js';
import { acknowledge, addEntry, handOut, makeGroup } from './stream.js';

/** What a server knows, of what writers do. */
export interface Dialect {
  /** Streams that a script can read: XINFO, from 6.0 on. */
  readonly streams: boolean;
  /** HSET of several fields. */
  readonly severalFields: boolean;
  readonly copy: boolean;
}

const newest: Dialect = { streams: true, severalFields: true, copy: true };

/** @param version as INFO tells it. */
export function dialectOf(version: string): Dialect {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return {
    streams: major >= 6,
    severalFields: major >= 4,
    copy: major > 6 || (major === 6 && minor >= 2),
  };
}

type KeyWrite = readonly [key: string, write: Write];

/** The keys that are one writer's own. */
export interface Territory {
  /** A write to a key that no other write knew. */
  found(random: Random): KeyWrite;
  /** Whether its streams have consumer groups. */
  readonly groups: boolean;
  readonly dialect: Dialect;
  /** Numbers streams' entries, which only may go up. */
  nextEntry(): number;
  /** One of the keys so far. */
  any(random: Random): string;
}

/** As many of the first keys are written to much more often than others. */
const hotKeys = 40;

export function createTerritory(
  prefix: string,
  { groups = true, dialect = newest } = {},
): Territory {
  const known = kinds.filter((kind) => kind !== 'stream' || dialect.streams);
  const keys: string[] = [];
  let entries = 0;
  return {
    groups,
    dialect,
    nextEntry: () => ++entries,
    found(random) {
      const kind = random.pick(known);
      const key = `${kind}:${prefix}:${String(keys.length)}`;
      keys.push(key);
      return [key, changeOf(kind, key, random, this)];
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
  return [key, changeOf(kindOf(key), key, random, territory)];
}

function changeOf(kind: Kind, key: string, random: Random, territory: Territory): Write {
  // Hardly ever the same twice, so that no two states of a key look alike.
  const newToken = (): string =>
    random
      .int(2 ** 32)
      .toString(36)
      .padEnd(random.oneIn(40) ? 4000 : 8, '.');
  const token = newToken();
  // Of several elements in one write, all are there or none.
  const more = Array.from({ length: random.oneIn(3) ? 1 + random.int(5) : 0 }, newToken);
  switch (kind) {
    case 'counter':
      // They are small, so that one that comes back at the source often equals its copy.
      return random.oneIn(2) ? increase(key) : decrease(key);
    case 'text':
      return append(key, token);
    case 'list':
      return push(key, token, ...more);
    case 'hash':
      return setFields(
        key,
        ...(territory.dialect.severalFields ? [token, ...more] : [token]).map(
          (one): [string, string] => [String(random.int(6)), one],
        ),
      );
    case 'set':
      return addMembers(key, token, ...more);
    case 'stream':
      return changeOfStream(key, token, random, territory);
  }
}

function changeOfStream(key: string, token: string, random: Random, territory: Territory): Write {
  const chance = territory.groups ? random.int(10) : 9;
  if (chance < 2) return makeGroup(key);
  if (chance < 5) return handOut(key);
  const number = territory.nextEntry();
  // Of the entries that came last, some are this key's own.
  if (chance < 7) return acknowledge(key, Math.max(1, number - random.int(200)));
  return addEntry(key, number, token);
}
