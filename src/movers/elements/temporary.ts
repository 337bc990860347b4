/**
 * Where a value stands until it is whole: under a name of its own in the slot of the key, so that
 * renaming it is all that is left to do, and nobody ever sees half a value.
 *
 * The name has a TTL from the first write on, so that a run that is killed leaves nothing for good.
 * That makes it possible that it vanishes half-way and begins anew with the next write; one that
 * began anew has no TTL, which is how it is told (`isWhole`).
 */
import { randomBytes } from 'node:crypto';
import { slotCount, slotOf } from '../../redis/keys.js';
import type { Writer } from './writer.js';

/** How long it outlives a run that was killed. */
export const leaseMs = 3_600_000;
const renewAfterMs = 60_000;
/** With less left, it may vanish before the next look. */
const leastLeftMs = 600_000;

/** What all names of temporary keys begin with. */
export const temporaryPrefix = 'cluster-import:';

const run = randomBytes(6).toString('hex');
let count = 0;

/** Another name each time, and in each process. */
export function temporaryNameIn(slot: number): string {
  return `${temporaryPrefix}${run}:${String(++count)}:{${tagOf(slot)}}`;
}

/** One of the slot of this key. */
export function temporaryNameFor(key: Buffer): Buffer {
  return Buffer.from(temporaryNameIn(slotOf(key, 0, key.length)), 'latin1');
}

export class Temporary {
  #renewedMs: number | undefined;
  #vanished = false;

  constructor(
    readonly writer: Writer,
    readonly name: Buffer,
  ) {}

  /** To be called after each write. */
  renew(): void {
    const nowMs = performance.now();
    if (this.#renewedMs !== undefined) {
      if (nowMs - this.#renewedMs < renewAfterMs) return;
      // Asked ahead of the renewal, which would hide that it began anew.
      this.#look().catch(() => (this.#vanished = true));
    }
    this.#renewedMs = nowMs;
    this.writer.send(['PEXPIRE', this.name, leaseMs]);
  }

  /** Whether everything that was written is still there; to be called behind the last write. */
  async isWhole(): Promise<boolean> {
    if (this.#renewedMs === undefined) return false;
    await this.#look();
    return !this.#vanished;
  }

  async discard(): Promise<void> {
    await this.writer.ask('DEL', this.name).catch(() => undefined);
  }

  async #look(): Promise<void> {
    const leftMs = await this.writer.ask('PTTL', this.name);
    if (!(typeof leftMs === 'number' && leftMs >= leastLeftMs)) this.#vanished = true;
  }
}

/**
 * For each slot the shortest text that hashes to it.
 *
 * What is stored beside a key must be of its slot, and the key's own hash tag will not always do: a
 * key without one may hold a `}` anywhere. There are only 16,384 slots, so a table says it all.
 */
let tags: readonly string[] | undefined;

/** A few letters and digits, to be put between braces. */
export function tagOf(slot: number): string {
  tags ??= findTags();
  return tags[slot] as string;
}

/** Counts upward until every slot was met: some 200,000 tries, a few hundredths of a second. */
function findTags(): readonly string[] {
  const found = new Array<string>(slotCount);
  let missing = slotCount;
  for (let number = 0; missing > 0; number++) {
    const text = number.toString(36);
    const slot = slotOf(Buffer.from(text, 'latin1'), 0, text.length);
    if (found[slot] !== undefined) continue;
    found[slot] = text;
    missing--;
  }
  return found;
}
