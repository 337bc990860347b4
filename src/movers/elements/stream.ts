/**
 * Streams: entries under their ids, then groups, consumers and what is pending (stream-groups.ts).
 *
 * An entry may be deleted and still be pending. A node takes a pending entry only while it is in the
 * stream (since 7.0), so such an entry is added, claimed, and deleted again.
 *
 * What no command can set is lost: when consumers were last seen, and, from a source before 7.0,
 * how many entries there ever were.
 */
import { type Reply, textOf } from '../../redis/reply.js';
import type { Copier, Passage } from './passage.js';
import { askReply } from './questions.js';
import { fieldsOf, rowsOf } from './replies.js';
import { copyGroups, type Group, readGroups, vanishedEntries } from './stream-groups.js';
import { compareIds, nextId, type StreamId } from './stream-ids.js';
import type { Word } from './writer.js';

export const copyStream: Copier = async (passage) => {
  const { source, key, writer, temporary } = passage;
  const info = fieldsOf(await askReply(source, ['XINFO', 'STREAM', key]));
  const groups = await readGroups(passage);
  const vanished = await vanishedEntries(passage, groups);
  const added = await copyEntries(passage, vanished);
  if (added === 0) await createEmpty(passage, groups);
  await copyGroups(passage, groups);
  for (const id of vanished) writer.send(['XDEL', temporary, id]);
  writer.send(['XSETID', temporary, ...position(info, passage.abilities.takesStreamCounts)]);
  await passage.sent(0, 0);
  return undefined;
};

/**
 * @param vanished entries to be added though the source has them no more, in order.
 * @returns how many were added, those included.
 */
async function copyEntries(passage: Passage, vanished: readonly StreamId[]): Promise<number> {
  const { source, key, writer, temporary, pace } = passage;
  const standIns = [...vanished];
  let added = 0;
  const addStandInsBefore = (id: StreamId | undefined): void => {
    for (let next = standIns[0]; next !== undefined; next = standIns[0]) {
      if (id !== undefined && compareIds(next, id) > 0) return;
      writer.send(['XADD', temporary, next, '', '']);
      standIns.shift();
      added++;
    }
  };
  for (let start: StreamId = '-', last = false; !last;) {
    const { count } = pace;
    const rows = rowsOf(await askReply(source, ['XRANGE', key, start, '+', 'COUNT', count]));
    let bytes = 0;
    for (const [id, fields] of rows) {
      addStandInsBefore(textOf(id));
      const words = (fields as Reply[]).map((word) => word as Buffer);
      writer.send(['XADD', temporary, textOf(id), ...words]);
      bytes += words.reduce((sum, word) => sum + word.length, 0);
      start = nextId(textOf(id));
    }
    added += rows.length;
    last = rows.length < count;
    if (rows.length > 0) await passage.sent(rows.length, bytes);
  }
  addStandInsBefore(undefined);
  if (standIns.length < vanished.length) await passage.sent(0, 0);
  return added;
}

/** There is no command that makes one, but a group may bring it along. */
async function createEmpty(passage: Passage, groups: readonly Group[]): Promise<void> {
  const { writer, temporary } = passage;
  let name = 'none';
  while (groups.some((group) => group.name.equals(Buffer.from(name)))) name += '-';
  writer.send(['XGROUP', 'CREATE', temporary, name, '0', 'MKSTREAM']);
  writer.send(['XGROUP', 'DESTROY', temporary, name]);
  await passage.sent(0, 0);
}

/** The last id, and where both sides have it, how many were ever added and the last deleted. */
function position(info: ReadonlyMap<string, Reply>, counts: boolean): Word[] {
  const last = textOf(info.get('last-generated-id'));
  const added = info.get('entries-added');
  if (!counts || typeof added !== 'number') return [last];
  const deleted = textOf(info.get('max-deleted-entry-id'));
  return [last, 'ENTRIESADDED', added, 'MAXDELETEDID', deleted];
}
