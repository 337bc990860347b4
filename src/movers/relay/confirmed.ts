/**
 * `--verify`: what a node has acknowledged is compared with what the source has, before any of it is
 * deleted there. A difference is a failure of its key, which stays at the source; unless the source
 * was written to meanwhile: then the copy is stale, and the key goes round again as it always does.
 */
import type { Connection } from '../../redis/connection.js';
import { chosen, joined, keyAt, noKeys } from '../../redis/keys.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Batch, Keys } from '../../types.js';
import type { Place } from '../aside.js';
import type { OutcomeBuilder } from '../outcome.js';
import type { Ticket } from './removal.js';
import type { GuardedLine } from './watchers.js';

/** A key whose copy is not what the source has. */
export interface Apart {
  readonly place: number;
  /** One clause, without any value: `field "name" differs`. */
  readonly what: string;
}

export interface Confirmation {
  /** Compares keys that the node has acknowledged. @throws ConnectionError when a side is lost. */
  apart(at: Place, keys: Keys): Promise<readonly Apart[]>;
  close(): void;
}

/** Keys that are at the node: by this very batch, and those that were there already. */
interface AtNode {
  readonly stored: Keys;
  readonly found: Keys;
}

export interface Confirmed {
  /** What may leave the source. */
  readonly leaving: AtNode;
  /** What has to be moved again, because the source was written to, or nobody can tell. */
  readonly again: AtNode | undefined;
}

/** What consumer groups do touches no watched key: streams get another chance, so many times. */
const triesOfStreams = 12;

/** Compares what was stored now; what was there before was compared to be known as equal. */
export async function confirmed(
  confirmation: Confirmation,
  guarded: GuardedLine,
  ticket: Ticket | undefined,
  batch: Batch,
  { stored, found }: AtNode,
  outcome: OutcomeBuilder,
): Promise<Confirmed> {
  const all = { leaving: { stored, found }, again: undefined };
  if (stored.count === 0) return all;
  const apart = await confirmation.apart(batch, stored);
  if (apart.length === 0) return all;
  const isApart = new Set(apart.map(({ place }) => place));
  const places = [...Array(stored.count).keys()];
  const equal = chosen(
    stored,
    places.filter((place) => !isApart.has(place)),
  );
  const different = chosen(stored, [...isApart]);
  const isStale = await wasWritten(guarded, batch, ticket, different);
  if (!isStale) {
    for (const { place, what } of apart) {
      outcome.fail(chosen(stored, [place]), {
        class: 'differs',
        message: `its copy at ${batch.node.address} is not what the source has (${what}): the key was left at the source`,
      });
    }
  }
  // Asking has ended the watch, without which nothing may be deleted.
  if (guarded.removal?.watches === true) {
    const again = { stored: isStale ? joined([equal, different]) : equal, found };
    return { leaving: { stored: noKeys, found: noKeys }, again };
  }
  return {
    leaving: { stored: equal, found },
    again: isStale ? { stored: different, found: noKeys } : undefined,
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
