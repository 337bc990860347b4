/** Strings, lists, sets and sorted sets: what is read is sent as it came. */
import { sendElements, swapped } from './frames.js';
import { sliceBytes } from './pace.js';
import type { ElementPage } from './page.js';
import type { Copier, Passage } from './passage.js';
import { askFrames, askPage } from './questions.js';

export const copyString: Copier = async ({ source, key, writer, temporary, sent }) => {
  for (let from = 0, last = false; !last; from += sliceBytes) {
    const piece = await askFrames(source, 'one', 'GETRANGE', key, from, from + sliceBytes - 1);
    // SET once, so that an empty string arrives too.
    writer.send([from === 0 ? 'SET' : 'APPEND', temporary], piece);
    last = piece.bytes.length < sliceBytes;
    await sent(1, piece.bytes.length);
  }
  return undefined;
};

export const copyList: Copier = async ({ source, key, writer, temporary, pace, sent }) => {
  for (let from = 0, last = false; !last;) {
    const { count } = pace;
    const items = await askFrames(source, 'array', 'LRANGE', key, from, from + count - 1);
    sendElements(writer, ['RPUSH', temporary], items, 1);
    from += items.count;
    last = items.count < count;
    await sent(items.count, items.bytes.length);
  }
  return undefined;
};

export const copySet: Copier = async (passage) => {
  for await (const { items } of pages(passage, 'SSCAN')) {
    sendElements(passage.writer, ['SADD', passage.temporary], items, 1);
    await passage.sent(items.count, items.bytes.length);
  }
  return undefined;
};

/**
 * Scores pass as the text that the source gives: 17 digits, or as many as tell a double from its
 * neighbours, which every server reads back as the same double.
 */
export const copySortedSet: Copier = async (passage) => {
  for await (const { items } of pages(passage, 'ZSCAN')) {
    sendElements(passage.writer, ['ZADD', passage.temporary], swapped(items), 2);
    await passage.sent(items.count / 2, items.bytes.length);
  }
  return undefined;
};

/**
 * A whole scan. It may give elements twice, which does no harm; and what is written meanwhile it
 * may give or not, which is why the key must not have been touched when it leaves the source.
 */
export async function* pages(
  { source, key, pace }: Passage,
  word: 'SSCAN' | 'HSCAN' | 'ZSCAN',
): AsyncGenerator<ElementPage> {
  for (let cursor = '0', last = false; !last;) {
    const page = await askPage(source, word, key, cursor, 'COUNT', pace.count);
    cursor = page.cursor;
    last = cursor === '0';
    yield page;
  }
}
