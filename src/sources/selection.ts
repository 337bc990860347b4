/**
 * What becomes of a source's keys before they are imported: only some of them are wanted (by name, by
 * type, by how long they still live), or they get other names in the cluster. What is left out stays
 * at the source and is counted nowhere.
 */
import { SourceError } from '../errors.js';
import type { SelectionOptions } from '../options/options.js';
import type { Connection } from '../redis/connection.js';
import { chosen, keyAt, keysBuilder } from '../redis/frames.js';
import type { Link } from '../redis/pool.js';
import { ErrorReply, type Reply, textOf } from '../redis/reply.js';
import { refusalIn, type SourceHealth } from '../redis/source-health.js';
import type { Keys, Page, Source } from '../types.js';
import { nameFilter } from './glob.js';

/** Which keys are wanted, whatever they are called in the cluster. */
export type Selection = Omit<SelectionOptions, 'keyPrefix'>;

export function selectsAll({ match, exclude, type, minTtlMs }: Selection): boolean {
  return match.length + exclude.length + type.length === 0 && minTtlMs === 0;
}

/**
 * @param link gives a connection for asking types and TTLs.
 * @param health is waited for where the source refuses to answer for now.
 */
export function selectedSource(
  source: Source,
  link: Link,
  health: SourceHealth,
  selection: Selection,
): Source {
  const isWanted = nameFilter(selection);
  const types = new Set(selection.type);
  let open: Promise<Connection> | undefined;

  async function askEach(keys: Keys, word: string): Promise<Reply[]> {
    const connection = await (open ??= link.open().then((linked) => linked.connection));
    let replies: Reply[];
    try {
      const places = Array.from({ length: keys.count }, (_, place) => place);
      replies = await Promise.all(places.map((place) => connection.call(word, keyAt(keys, place))));
    } catch (error) {
      if (!connection.lost) throw error;
      open = undefined;
      return askEach(keys, word);
    }
    const refused = replies.find((reply) => reply instanceof ErrorReply);
    if (!refused) return replies;
    // Keys of which nothing is known must not be left out as if they were unwanted.
    const refusal = refusalIn(refused.text);
    if (refusal === undefined) {
      throw new SourceError(`${source.name} refused ${word}: ${refused.text}`);
    }
    health.refused(refusal);
    await health.ready();
    return askEach(keys, word);
  }

  async function filtered(page: Page): Promise<Page> {
    if (page.count === 0) return page;
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
    return { ...keys, intent: page.intent };
  }

  return changed(source, filtered, () => undefined);
}

function placesOf(replies: readonly Reply[], isWanted: (reply: Reply) => boolean): number[] {
  return replies.flatMap((reply, place) => (isWanted(reply) ? [place] : []));
}

/** @param prefix is put ahead of each name; a hash tag within the key stays one. */
export function renamedSource(source: Source, prefix: Buffer): Source {
  function named(page: Page): Page {
    const names = keysBuilder(page.count);
    for (let place = 0; place < page.count; place++) {
      names.addKey(Buffer.concat([prefix, keyAt(page, place)]));
    }
    return { ...page, names: names.take() };
  }

  return changed(source, named, () => source.expectedKeys);
}

/**
 * The same source with other pages.
 * @param expectedKeys how many keys these will hold, about; undefined: nobody knows.
 */
function changed(
  source: Source,
  change: (page: Page) => Page | Promise<Page>,
  expectedKeys: () => number | undefined,
): Source {
  return {
    name: source.name,
    isReplayable: source.isReplayable,
    isFollowed: source.isFollowed,
    remaining: source.remaining,
    release: source.release,
    giveBack(keys) {
      source.giveBack?.(keys);
    },
    estimatedKeys: source.estimatedKeys,
    get expectedKeys() {
      return expectedKeys();
    },
    get progress() {
      return source.progress;
    },
    get earlierShare() {
      return source.earlierShare;
    },
    async *pages(heldUp) {
      for await (const page of source.pages(heldUp)) yield await change(page);
    },
  };
}
