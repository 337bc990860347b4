/**
 * Streams: groups, consumers and what is pending come first (stream-groups.ts), then entries under
 * their ids, then the position.
 *
 * A stream's own ids say what was done to it: trimming leaves max-deleted-entry-id alone, XDEL raises
 * it for good, and XSETID can't take it back to 0-0 (xsetidCommand in Redis' t_stream.c). So nothing
 * is ever deleted by XDEL here: what stands in for an entry is trimmed away.
 *
 * What no command can set is lost: when consumers were last seen, and, from a source before 7.0,
 * how many entries there ever were.
 */
import { type Reply, textOf } from '../../redis/reply.js';
import type { Copier, Passage } from './passage.js';
import { askReply } from './questions.js';
import { fieldsOf, rowsOf } from './replies.js';
import { copyGroups, readGroups } from './stream-groups.js';
import { nextId, type StreamId } from './stream-ids.js';
import type { Word } from './writer.js';

export const copyStream: Copier = async (passage) => {
  const { source, key, writer, temporary } = passage;
  const info = fieldsOf(await askReply(source, ['XINFO', 'STREAM', key]));
  const groups = await readGroups(passage);
  createEmpty(passage, info.get('entries-added'));
  await passage.sent(0, 0);
  await copyGroups(passage, groups);
  const length = await copyEntries(passage);
  const counts = passage.abilities.takesStreamCounts;
  writer.send(['XSETID', temporary, ...position(info, length, counts)]);
  await passage.sent(0, 0);
  return undefined;
};

/**
 * No command makes an empty stream, but an entry may be trimmed away in the moment in which it is
 * added. How many entries there ever were is set before there are groups: a group that has read more
 * than these is cut down to them by the latest servers.
 */
function createEmpty({ writer, temporary, abilities }: Passage, added: Reply | undefined): void {
  const isKnown = abilities.takesStreamCounts && typeof added === 'number';
  writer.send(['XADD', temporary, 'MAXLEN', 0, '0-1', '', '']);
  writer.send(['XSETID', temporary, '0-0', ...(isKnown ? ['ENTRIESADDED', added] : [])]);
}

/** @returns how many there are. */
async function copyEntries(passage: Passage): Promise<number> {
  const { source, key, writer, temporary, pace } = passage;
  let length = 0;
  for (let start: StreamId = '-', last = false; !last;) {
    const { count } = pace;
    const rows = rowsOf(await askReply(source, ['XRANGE', key, start, '+', 'COUNT', count]));
    let bytes = 0;
    for (const [id, fields] of rows) {
      const words = (fields as Reply[]).map((word) => word as Buffer);
      writer.send(['XADD', temporary, textOf(id), ...words]);
      bytes += words.reduce((sum, word) => sum + word.length, 0);
      start = nextId(textOf(id));
    }
    length += rows.length;
    last = rows.length < count;
    if (rows.length > 0) await passage.sent(rows.length, bytes);
  }
  return length;
}

/**
 * The last id, how many entries were ever added, and the last that was deleted. A source before 7.0
 * does not know the latter two: then the entries that are there count, as they do for RESTORE.
 */
function position(info: ReadonlyMap<string, Reply>, length: number, counts: boolean): Word[] {
  const last = textOf(info.get('last-generated-id'));
  if (!counts) return [last];
  const added = info.get('entries-added');
  if (typeof added !== 'number') return [last, 'ENTRIESADDED', length];
  const deleted = textOf(info.get('max-deleted-entry-id'));
  return [last, 'ENTRIESADDED', added, 'MAXDELETEDID', deleted];
}
