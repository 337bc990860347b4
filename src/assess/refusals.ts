/** What a cluster refuses whatever the keys are: patterns for keys in SORT, and other databases. */
import { optionsFrom, sortArguments } from './key-positions.js';
import { shapeOf } from './key-shapes.js';

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

/** Events of other databases: nobody tells of any in a cluster. */
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
