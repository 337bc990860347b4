/**
 * Which arguments of a command are keys. Where they always stand at the same places, the server's own
 * COMMAND says so; where the arguments decide, the rules stand here, one row each.
 */
import { type Reply, textOf } from '../redis/reply.js';

/** @returns the places of the keys in the words, the command's own place being 0. */
type Places = (words: readonly string[]) => readonly number[];

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
  words: readonly string[],
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
  stralgo,
  object: at(2),
  xgroup: at(2),
  xinfo: at(2),
  memory: (words) => (words[1]?.toLowerCase() === 'usage' ? at(2)(words) : []),
};

/** Where COMMAND may not be asked: what nearly all commands are like. */
const firstOnly: Places = (words) => (words.length > 1 ? [1] : []);

/** @param reply what COMMAND answered; anything else: it may not be asked. */
export function keyFinder(reply: Reply): KeyFinder {
  const fixed = new Map<string, Places>();
  for (const row of Array.isArray(reply) ? reply : []) {
    if (!Array.isArray(row)) continue;
    const [name, , , first, last, step] = row;
    fixed.set(textOf(name).toLowerCase(), spaced(Number(first), Number(last), Number(step)));
  }
  return (words) => {
    const name = (words[0] ?? '').toLowerCase();
    const places = rules[name] ?? (fixed.size === 0 ? firstOnly : fixed.get(name));
    return places?.(words).flatMap((place) => words[place] ?? []);
  };
}

/** Every so many words from the first to the last, which may be counted from the end. */
function spaced(first: number, last: number, step: number): Places {
  return (words) => {
    if (first <= 0) return [];
    const end = last < 0 ? words.length + last : Math.min(last, words.length - 1);
    const places: number[] = [];
    for (let place = first; place <= end; place += Math.max(1, step)) places.push(place);
    return places;
  };
}
