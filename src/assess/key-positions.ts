/**
 * Which arguments of a command are keys. Where they always stand at the same places, the server's own
 * COMMAND says so; where the arguments decide, the rules stand here, one row each.
 */
import { type Reply, textOf } from '../redis/reply.js';

/** @returns the places of the keys in the words, the command's own place being 0. */
export type Places = (words: readonly string[]) => readonly number[];

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

/** Behind STREAMS: as many keys as ids. */
const streams: Places = (words) => {
  const from = words.findIndex((word) => word.toLowerCase() === 'streams') + 1;
  return from === 0 ? [] : range(from, Math.floor((words.length - from) / 2));
};

/** The first, and what is named behind one of these words. */
const storing =
  (...names: string[]): Places =>
  (words) => {
    const stored = words.flatMap((word, place) =>
      place > 1 && names.includes(word.toLowerCase()) && place + 1 < words.length
        ? [place + 1]
        : [],
    );
    return [1, ...stored];
  };

const migrate: Places = (words) => {
  const from = words.findIndex((word) => word.toLowerCase() === 'keys') + 1;
  return from > 0 && words[3] === '' ? range(from, words.length - from) : [3];
};

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
  xread: streams,
  xreadgroup: streams,
  sort: storing('store'),
  georadius: storing('store', 'storedist'),
  georadiusbymember: storing('store', 'storedist'),
  migrate,
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
