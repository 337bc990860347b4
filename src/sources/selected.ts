/**
 * A source of which only some keys are wanted: by name, by type, by how long they still live.
 * What is left out stays at the source and is counted nowhere.
 */
import type { Connection } from '../redis/connection.js';
import { chosen, keyAt } from '../redis/keys.js';
import type { Link } from '../redis/link.js';
import { type Reply, textOf } from '../redis/reply.js';
import type { Keys, Source } from '../types.js';
import { type NameGlobs, nameFilter } from './glob.js';

export interface Selection extends NameGlobs {
  /** Types as TYPE names them; none: any. */
  readonly types: readonly string[];
  /** Keys that expire sooner are left out; those that never expire are not. */
  readonly minTtlMs: number;
}

export function selectsAll({ match, exclude, types, minTtlMs }: Selection): boolean {
  return match.length + exclude.length + types.length === 0 && minTtlMs === 0;
}

/** @param link gives a connection for asking types and TTLs. */
export function selectedSource(source: Source, link: Link, selection: Selection): Source {
  const isWanted = nameFilter(selection);
  const types = new Set(selection.types);
  let open: Promise<Connection> | undefined;

  async function askEach(keys: Keys, word: string): Promise<Reply[]> {
    const connection = await (open ??= link.open().then((linked) => linked.connection));
    try {
      const places = Array.from({ length: keys.count }, (_, place) => place);
      return await Promise.all(places.map((place) => connection.call(word, keyAt(keys, place))));
    } catch (error) {
      if (!connection.lost) throw error;
      open = undefined;
      return askEach(keys, word);
    }
  }

  async function filtered(page: Keys): Promise<Keys> {
    const places = Array.from({ length: page.count }, (_, place) => place);
    let keys = chosen(
      page,
      places.filter((place) => isWanted(keyAt(page, place))),
    );
    if (types.size > 0 && keys.count > 0) {
      const replies = await askEach(keys, 'TYPE');
      keys = chosen(
        keys,
        placesOf(replies, (reply) => types.has(textOf(reply))),
      );
    }
    if (selection.minTtlMs > 0 && keys.count > 0) {
      const replies = await askEach(keys, 'PTTL');
      const lives = (reply: Reply): boolean => reply === -1 || Number(reply) >= selection.minTtlMs;
      keys = chosen(keys, placesOf(replies, lives));
    }
    return keys;
  }

  return {
    name: source.name,
    estimatedKeys: source.estimatedKeys,
    get progress() {
      return source.progress;
    },
    get earlierShare() {
      return source.earlierShare;
    },
    async *pages() {
      for await (const page of source.pages()) yield await filtered(page);
    },
  };
}

function placesOf(replies: readonly Reply[], isWanted: (reply: Reply) => boolean): number[] {
  return replies.flatMap((reply, place) => (isWanted(reply) ? [place] : []));
}
