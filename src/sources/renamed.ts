/** A source whose keys get other names in the cluster: a prefix that tells where they came from. */
import { frame } from '../redis/frames.js';
import { keyAt, keysBuilder } from '../redis/keys.js';
import type { Keys, Source } from '../types.js';

/** @param prefix is put ahead of each name; a hash tag within the key stays one. */
export function renamedSource(source: Source, prefix: Buffer): Source {
  function named(page: Keys): Keys {
    const names = keysBuilder(page.count);
    for (let place = 0; place < page.count; place++) {
      const name = frame(Buffer.concat([prefix, keyAt(page, place)]));
      names.add(name, 0, name.length);
    }
    return { ...page, names: names.take() };
  }

  return {
    name: source.name,
    isReplayable: source.isReplayable,
    remaining: source.remaining,
    release: source.release,
    estimatedKeys: source.estimatedKeys,
    get expectedKeys() {
      return source.expectedKeys;
    },
    get progress() {
      return source.progress;
    },
    get earlierShare() {
      return source.earlierShare;
    },
    async *pages() {
      for await (const page of source.pages()) yield named(page);
    },
  };
}
