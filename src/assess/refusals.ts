/** What a cluster refuses whatever the keys are (patterns for keys in SORT, other databases), and how to repair it. */
import { optionsFrom, sortArguments } from '../redis/command-keys.js';
import { commonParts, joinShapes, nameSign, shapeOf, taggedAt } from './key-shapes.js';

export interface Refusal {
  /** `refused`: it would use keys of any slot. `database`: a cluster has only database 0. */
  readonly trouble: 'refused' | 'database';
  /** `SORT ids BY weight_*` */
  readonly pattern: string;
}

/** @returns undefined: a cluster runs it if its keys are of one slot. */
export function refusalOf(words: readonly string[]): Refusal | undefined {
  const name = (words[0] ?? '').toUpperCase();
  if (name === 'SORT' || name === 'SORT_RO') return sortRefusal(name, words);
  if (name === 'SELECT') return words[1] === '0' ? undefined : database('SELECT', words[1] ?? '');
  if (name === 'SUBSCRIBE' || name === 'PSUBSCRIBE') return eventsRefusal(name, words.slice(1));
  if (name === 'SWAPDB') return database('SWAPDB', ...words.slice(1, 3));
  if (name === 'MOVE') return database('MOVE', shapeOf(words[1] ?? ''), words[2] ?? '');
  if (name === 'COPY') {
    const other = optionsFrom(words, 3, { db: 1 }).find(({ option }) => option === 'db');
    const db = other && words[other.place];
    if (db === undefined || db === '0') return undefined;
    return database('COPY', ...words.slice(1, 3).map(shapeOf), 'DB', db);
  }
  return undefined;
}

/** Events of other databases: a cluster has none. */
function eventsRefusal(name: string, channels: readonly string[]): Refusal | undefined {
  const other = channels.find((channel) => /^__key(?:space|event)@[1-9]\d*__:/.test(channel));
  return other === undefined ? undefined : database(name, shapeOf(other));
}

/** A cluster takes BY only where it says not to sort (BY nosort), and no GET. */
function sortRefusal(name: string, words: readonly string[]): Refusal | undefined {
  const patterns = optionsFrom(words, 2, sortArguments).flatMap(({ option, place }) => {
    const text = words[place];
    const isRefused = option === 'get' || (option === 'by' && text?.includes('*'));
    return isRefused && text !== undefined ? [`${option.toUpperCase()} ${shapeOf(text)}`] : [];
  });
  if (patterns.length === 0) return undefined;
  return { trouble: 'refused', pattern: [name, shapeOf(words[1] ?? ''), ...patterns].join(' ') };
}

function database(...words: readonly string[]): Refusal {
  return { trouble: 'database', pattern: words.filter(Boolean).join(' ') };
}

const troubles = [
  'cross-slot', // keys of several slots in one unit
  'undeclared', // a script uses keys that it did not declare, of another slot
  'keyless-script', // a script declares no keys, and uses some
  'refused', // refused by clusters: SORT by a pattern for keys
  'database', // another database than 0
] as const;

export type Trouble = (typeof troubles)[number];

export function isTrouble(word: string): boolean {
  return troubles.some((one) => one === word);
}

interface Broken {
  readonly kind: 'command' | 'transaction' | 'script';
  /** It begins with the command. */
  readonly pattern: string;
  readonly trouble: Trouble;
  readonly shapes: readonly string[];
  /** The keys with a hash tag around what varies and is common to them. */
  readonly tagged: string | undefined;
}

/** Commands that mean the same when each slot's keys get one of their own: many cluster clients do that. */
const splittable = /^(?:MGET|MSET|DEL|UNLINK|EXISTS|TOUCH)(?: |$)/;

/** What would let a cluster run it, the least change first. */
export function repairOf({ kind, pattern, trouble, shapes, tagged }: Broken): string {
  if (trouble === 'database') {
    return 'keep to database 0; --key-prefix keeps the keys of several databases apart';
  }
  if (trouble === 'refused') {
    return 'sort in the application, or keep what is sorted by and got in one place with it';
  }
  const isSplittable = kind === 'command' && splittable.test(pattern);
  const keys =
    tagged === undefined
      ? withoutTag(shapes, isSplittable ? splitting(pattern) : undefined)
      : `give the keys a hash tag: ${tagged}${isSplittable ? '; or split them by slot in the client' : ''}`;
  if (trouble === 'cross-slot') return keys;
  return `declare its keys when it is called${tagged === undefined ? ';' : ', and'} ${keys}`;
}

function splitting(pattern: string): string {
  const cost = pattern.startsWith('MSET') ? ' (MSET is not atomic then)' : '';
  return `split the keys by slot in the client${cost}: many cluster clients do that for MGET, MSET, DEL, UNLINK, EXISTS and TOUCH`;
}

/** @param split how it can be split by slot; undefined: it can't. */
function withoutTag(shapes: readonly string[], split: string | undefined): string {
  const part = commonParts(shapes).at(-1);
  const varies = shapes.some((shape) => /<n>|<id>/.test(shape) || shape.includes(nameSign));
  if (part === undefined) {
    const tag = varies
      ? 'name keys that belong together by what they belong to, as a hash tag'
      : 'give these few a hash tag';
    return split ?? `the keys have no part in common: do it key by key, or ${tag}`;
  }
  const tagged = joinShapes([...new Set(shapes.map((shape) => taggedAt(shape, part)))]);
  if (!varies && shapes.length > 1) return `give the keys a hash tag: ${tagged}`;
  const way =
    split ??
    'what varies in the keys is not common to them: do it key by key, or name keys that belong together by what they belong to, as a hash tag';
  return `${way}. A constant hash tag (${tagged}) would put all of them into one slot, and one node would have all the work`;
}
