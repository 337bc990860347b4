/**
 * `--verify` for values that their source brought along: which of those that a node has taken it does
 * not give back byte for byte. Equal values may be given back in other bytes, so these are in doubt,
 * and no more than that: existing.ts can tell.
 */
import { deadlineOf, formOf, forms, frameStart } from '../../redis/brought.js';
import { nextReply } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { command } from '../../redis/frames.js';
import { keyAt, keyStart, namesOf } from '../../redis/keys.js';
import type { Reply } from '../../redis/reply.js';
import type { Batch } from '../../types.js';

const toleranceMs = 1000;
/** Version and checksum at the end of a payload. */
const trailerBytes = 10;
const limitBytes = 768 * 1024 * 1024;

/** @param lane must not carry values that pass through. */
export async function doubtfulPlaces(
  lane: Connection,
  { keys, asking }: Pick<Batch, 'keys' | 'asking'>,
  places: readonly number[],
): Promise<readonly number[]> {
  const { values } = keys;
  if (!values) return [];
  const names = namesOf(keys);
  const isSame = await Promise.all(
    places.map(async (place) => {
      const at = values.starts[place] as number;
      const form = formOf(values.bytes, at);
      // What was never held can't be compared here.
      if (form === forms.large) return false;
      const name = keyAt(names, place);
      const [found, ttlMs] = await Promise.all([
        ask(form === forms.value ? 'GET' : 'DUMP', name),
        ask('PTTL', name),
      ]);
      const trailer = form === forms.value ? 0 : trailerBytes;
      const from = keyStart(values.bytes, frameStart(at));
      const wanted = values.bytes.subarray(from, (values.starts[place + 1] as number) - 2);
      return (
        Buffer.isBuffer(found) &&
        found.length === wanted.length &&
        found.compare(wanted, 0, wanted.length - trailer, 0, found.length - trailer) === 0 &&
        isNear(Number(ttlMs), deadlineOf(values.bytes, at))
      );
    }),
  );
  return places.filter((_, at) => isSame[at] !== true);

  function ask(word: string, name: Buffer): Promise<Reply> {
    if (asking) lane.call('ASKING').catch(() => undefined);
    lane.out.append(command(word, name));
    return nextReply(lane, limitBytes);
  }
}

function isNear(ttlMs: number, deadlineMs: number): boolean {
  if (deadlineMs < 0 || ttlMs < 0) return deadlineMs < 0 && ttlMs === -1;
  return Math.abs(ttlMs - (deadlineMs - Date.now())) <= toleranceMs;
}
