/**
 * Which arguments of a command are keys. Where they always stand at the same places, the server's own
 * COMMAND says so, and a table for what writes where COMMAND may not be asked; where the arguments decide,
 * the rules stand here, one row each.
 */
import { type Reply, textOf } from './reply.js';

/** A command and its arguments; undefined: one that was too long to be kept, which is no option then. */
export type Words = readonly (string | undefined)[];

/** @returns the places of the keys in the words, the command's own place being 0. */
export type Places = (words: Words) => readonly number[];

/** The places of a command's keys; undefined: it is not known. */
export type KeyFinder = (words: readonly string[]) => readonly string[] | undefined;

const range = (first: number, count: number): number[] =>
  Array.from({ length: Math.max(0, count) }, (_, at) => first + at);

/** The number of keys stands at a place, and the keys behind it. */
const counted =
  (place: number, ...fixed: number[]): Places =>
  (words) => [
    ...fixed,
    ...range(place + 1, Math.min(Number(words[place]) || 0, words.length - place - 1)),
  ];

const at =
  (place: number): Places =>
  (words) =>
    words.length > place ? [place] : [];

/** Words that stand behind an option, which may look like another option. */
export type Arguments = Readonly<Record<string, number>>;

/**
 * The options from a place on: what each is, and where its arguments begin. An option that is not
 * in the table has none.
 */
export function optionsFrom(
  words: Words,
  from: number,
  args: Arguments,
): readonly { readonly option: string; readonly place: number }[] {
  const found = [];
  for (let place = from; place < words.length; place++) {
    const option = (words[place] ?? '').toLowerCase();
    found.push({ option, place: place + 1 });
    place += Object.hasOwn(args, option) ? (args[option] ?? 0) : 0;
  }
  return found;
}

/** Behind STREAMS: as many keys as ids. */
const streams =
  (options: number): Places =>
  (words) => {
    const args = { count: 1, block: 1, claim: 1, streams: Infinity };
    const found = optionsFrom(words, options, args).find(({ option }) => option === 'streams');
    return found ? range(found.place, Math.floor((words.length - found.place) / 2)) : [];
  };

/** What SORT's options take. */
export const sortArguments = { by: 1, get: 1, limit: 2, store: 1 };

/** The first, and what is named behind one of these words. */
const storing =
  (options: number, args: Arguments, ...names: string[]): Places =>
  (words) => [
    1,
    ...optionsFrom(words, options, args).flatMap(({ option, place }) =>
      names.includes(option) && place < words.length ? [place] : [],
    ),
  ];

const migrate: Places = (words) => {
  const args = { auth: 1, auth2: 2, keys: Infinity };
  const found = optionsFrom(words, 6, args).find(({ option }) => option === 'keys');
  return found && words[3] === '' ? range(found.place, words.length - found.place) : [3];
};

/** STRALGO LCS KEYS a b (6.0 and 6.2). */
const stralgo: Places = (words) => (words[2]?.toLowerCase() === 'keys' ? range(3, 2) : []);

/** MSETEX numkeys key value … (Valkey 9.1, Redis 8.4). */
const msetex: Places = (words) => {
  const count = Math.min(Number(words[1]) || 0, Math.floor((words.length - 2) / 2));
  return range(0, count).map((nth) => 2 + 2 * nth);
};

const none: Places = () => [];

const rules: Readonly<Record<string, Places>> = {
  eval: counted(2),
  evalsha: counted(2),
  eval_ro: counted(2),
  evalsha_ro: counted(2),
  fcall: counted(2),
  fcall_ro: counted(2),
  zunionstore: counted(2, 1),
  zinterstore: counted(2, 1),
  zdiffstore: counted(2, 1),
  zunion: counted(1),
  zinter: counted(1),
  zdiff: counted(1),
  zintercard: counted(1),
  sintercard: counted(1),
  lmpop: counted(1),
  zmpop: counted(1),
  blmpop: counted(2),
  bzmpop: counted(2),
  xread: streams(1),
  xreadgroup: streams(4),
  sort: storing(2, sortArguments, 'store'),
  georadius: storing(6, { count: 1, store: 1, storedist: 1 }, 'store', 'storedist'),
  georadiusbymember: storing(5, { count: 1, store: 1, storedist: 1 }, 'store', 'storedist'),
  migrate,
  msetex,
  stralgo,
  flushall: none,
  flushdb: none,
  swapdb: none,
  object: at(2),
  xgroup: at(2),
  xinfo: at(2),
  memory: (words) => (words[1]?.toLowerCase() === 'usage' ? at(2)(words) : []),
};

/**
 * What writes, where its keys stand is always the same, as Redis 8 and Valkey 9 know it: for servers whose
 * COMMAND may not be asked. First key, last key (from the end, if negative), step.
 */
const builtIn: ReadonlyMap<string, Places> = new Map(
  (
    [
      [
        1,
        1,
        1,
        `append bitfield decr decrby delex delifeq expire expireat geoadd getdel getex getset
         hdel hexpire hexpireat hgetdel hgetex hincrby hincrbyfloat hmset hpersist hpexpire hpexpireat
         hset hsetex hsetnx incr incrby incrbyfloat linsert lpop lpush lpushx lrem lset ltrim move persist
         pexpire pexpireat pfadd psetex restore restore-asking rpop rpush rpushx sadd set setbit
         setex setnx setrange spop srem vadd vrem vsetattr xack xackdel xadd xautoclaim xclaim xdel xdelex
         xsetid xtrim zadd zincrby zpopmax zpopmin zrem zremrangebylex zremrangebyrank
         zremrangebyscore`,
      ],
      [1, -1, 1, 'del pfcount pfmerge sdiffstore sinterstore sunionstore touch unlink'],
      [1, -1, 2, 'mset msetnx'],
      [1, -2, 1, 'blpop brpop bzpopmax bzpopmin'],
      [
        1,
        2,
        1,
        `blmove brpoplpush copy geosearchstore lmove rename renamenx rpoplpush smove zrangestore`,
      ],
      [2, -1, 1, 'bitop'],
    ] as const
  ).flatMap(([first, last, step, names]) =>
    names.split(/\s+/).map((name) => [name, spaced(first, last, step)] as const),
  ),
);

/**
 * The places of the keys of a command, by its name in lower case; undefined: they are not known.
 * @param reply what COMMAND answered; anything else: it may not be asked, and only what writes is known.
 */
export function placesByCommand(reply: Reply): (name: string) => Places | undefined {
  const listed = new Map<string, Places | undefined>();
  for (const row of Array.isArray(reply) ? reply : []) {
    if (!Array.isArray(row)) continue;
    const [name, , flags, first, last, step] = row;
    const places = isUncertain(flags, Number(first))
      ? undefined
      : spaced(Number(first), Number(last), Number(step));
    listed.set(textOf(name).toLowerCase(), places);
  }
  return (name) => {
    if (Object.hasOwn(rules, name)) return rules[name];
    return listed.has(name) ? listed.get(name) : builtIn.get(name);
  };
}

/**
 * Writes to keys whose places its row does not tell: they move with the arguments, or there is no first one
 * (the flag is missing where a module's author forgot it).
 */
function isUncertain(flags: Reply | undefined, first: number): boolean {
  const names = Array.isArray(flags) ? flags.map(textOf) : [];
  return names.includes('write') && (first === 0 || names.includes('movablekeys'));
}

/** Where COMMAND may not be asked: what nearly all commands are like. */
const firstOnly: Places = (words) => (words.length > 1 ? [1] : []);

/** @param reply what COMMAND answered; anything else: it may not be asked. */
export function keyFinder(reply: Reply): KeyFinder {
  const placesOf = placesByCommand(reply);
  const otherwise = Array.isArray(reply) && reply.length > 0 ? undefined : firstOnly;
  return (words) => {
    const places = placesOf((words[0] ?? '').toLowerCase()) ?? otherwise;
    return places?.(words).flatMap((place) => words[place] ?? []);
  };
}

const firstWord = [1];

/** Every so many words from the first to the last, which may be counted from the end. */
function spaced(first: number, last: number, step: number): Places {
  // Most commands are like this: nothing is made for each of them.
  if (first === 1 && last === 1) return (words) => (words.length > 1 ? firstWord : []);
  return (words) => {
    if (first <= 0) return [];
    const end = last < 0 ? words.length + last : Math.min(last, words.length - 1);
    const places: number[] = [];
    for (let place = first; place <= end; place += Math.max(1, step)) places.push(place);
    return places;
  };
}
