/** Hashes, and the deadlines of their fields (since 7.4). */
import { chosen, keyAt } from '../../redis/keys.js';
import type { Keys } from '../../types.js';
import { sendElements } from './frames.js';
import type { Copier, Passage } from './passage.js';
import { pages } from './plain-types.js';
import { askReply } from './questions.js';

/** What HPEXPIRETIME says of a field without one, and of a field that is not there. */
const noDeadline = -1;
const noField = -2;

export const copyHash: Copier = async (passage) => {
  const { writer, temporary, abilities } = passage;
  for await (const { items } of pages(passage, 'HSCAN')) {
    // HSET takes several fields since 4.0 only.
    if (!abilities.readsFieldDeadlines || items.count === 0) {
      sendElements(writer, ['HMSET', temporary], items, 2);
    } else {
      const obstacle = await sendWithDeadlines(passage, items);
      if (obstacle !== undefined) return obstacle;
    }
    await passage.sent(items.count / 2, items.bytes.length);
  }
  return undefined;
};

async function sendWithDeadlines(passage: Passage, items: Keys): Promise<string | undefined> {
  const { source, key, writer, temporary, abilities } = passage;
  const places = Array.from({ length: items.count / 2 }, (_, at) => at * 2);
  const fields = chosen(items, places);
  // In ms since the epoch, by the source's clock.
  const reply = await askReply(source, ['HPEXPIRETIME', key, 'FIELDS', fields.count], fields);
  const deadlines = Array.isArray(reply) ? reply : [];
  const there = places.filter((at) => deadlines[at / 2] !== noField);
  const pairs = there.flatMap((at) => [at, at + 1]);
  sendElements(writer, ['HMSET', temporary], chosen(items, pairs), 2);
  const expiring = there.filter((at) => deadlines[at / 2] !== noDeadline);
  if (expiring.length > 0 && !abilities.takesFieldDeadlines) {
    return 'it has fields that expire, which the node does not know';
  }
  for (const at of expiring) {
    const deadlineMs = Number(deadlines[at / 2]) - abilities.sourceSkewMs + abilities.nodeSkewMs;
    writer.send(['HPEXPIREAT', temporary, deadlineMs, 'FIELDS', 1, keyAt(items, at)]);
  }
  return undefined;
}
