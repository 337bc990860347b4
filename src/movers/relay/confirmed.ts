/**
 * `--verify`: what a node has acknowledged is compared with what the source has, before any of it is
 * deleted there. A difference is a failure of its key, which stays at the source; unless the source
 * was written to meanwhile: then the copy is stale, and the key goes round again as it always does.
 */
import type { Connection } from '../../redis/connection.js';
import { chosen, keyAt } from '../../redis/keys.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Batch, Keys } from '../../types.js';
import type { Place } from '../aside.js';
import type { Ticket } from './removal.js';
import type { GuardedLine } from './watchers.js';

/** A key whose copy is not what the source has. */
export interface Apart {
  readonly place: number;
  /** One clause, without any value: `field "name" differs`. */
  readonly what: string;
}

export interface Confirmation {
  /**
   * Compares keys that the node has acknowledged.
   * @param isTemporary the names there are temporary: their deadlines do not count.
   * @throws ConnectionError when a side is lost.
   */
  apart(at: Place, keys: Keys, isTemporary: boolean): Promise<readonly Apart[]>;
  close(): void;
}

/** By the keys' places. */
export interface Confirmed {
  /** What is as the source has it, and may leave there. */
  readonly right: readonly number[];
  /** What is not, though nobody wrote to the source. */
  readonly wrong: readonly Apart[];
  /** What has to be moved again, because the source was written to, or nobody can tell. */
  readonly again: readonly number[];
  /** Asking has ended the watch without which nothing may be deleted: all of it has to be moved again. */
  readonly isWatchOver: boolean;
}

/** What consumer groups do touches no watched key: streams get another chance, so many times. */
const triesOfStreams = 12;

/**
 * @param stored what the node has acknowledged, under the names by which it is found there.
 * @param isTemporary it stands under temporary names, whose deadlines do not count.
 */
export async function confirmed(
  confirmation: Confirmation,
  guarded: GuardedLine,
  ticket: Ticket | undefined,
  batch: Batch,
  stored: Keys,
  isTemporary: boolean,
): Promise<Confirmed> {
  const places = [...Array(stored.count).keys()];
  const all = { right: places, wrong: [], again: [], isWatchOver: false };
  if (stored.count === 0) return all;
  const apart = await confirmation.apart(batch, stored, isTemporary);
  if (apart.length === 0) return all;
  const isApart = new Set(apart.map(({ place }) => place));
  const different = places.filter((place) => isApart.has(place));
  const isStale = await wasWritten(guarded, batch, ticket, chosen(stored, different));
  return {
    right: places.filter((place) => !isApart.has(place)),
    wrong: isStale ? [] : apart,
    again: isStale ? different : [],
    isWatchOver: guarded.removal?.watches === true,
  };
}

/** Whether somebody wrote to the source since the values were asked for, as far as it tells. */
async function wasWritten(
  { line, removal }: GuardedLine,
  batch: Batch,
  ticket: Ticket | undefined,
  different: Keys,
): Promise<boolean> {
  if (!removal || !ticket) return false;
  if (removal.watches === true) {
    const [begun, result] = await Promise.all([
      line.source.call('MULTI'),
      line.source.call('EXEC'),
    ]);
    if (begun instanceof ErrorReply || result === null) return !(begun instanceof ErrorReply);
    return batch.attempt < triesOfStreams && (await anyStream(line.source, different));
  }
  if (ticket.state === undefined) return false;
  // As long as nobody else writes, the state is the same object.
  const now = removal.begin(batch.keys);
  await line.source.call('PING');
  return now.state !== ticket.state;
}

async function anyStream(source: Connection, keys: Keys): Promise<boolean> {
  const places = [...Array(keys.count).keys()];
  const types = await Promise.all(places.map((place) => source.call('TYPE', keyAt(keys, place))));
  return types.includes('stream');
}
