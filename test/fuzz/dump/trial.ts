/** One dump: what it is, and whether it is treated as it must. */
import { gzipSync } from 'node:zlib';
import { ImportError } from '../../../src/errors.js';
import { readAll } from '../../support/rdb.js';
import type { Tried } from '../job.js';
import { type Random, randomFrom } from '../../support/random.js';
import { mutated, summedUp } from './mutate.js';
import { type Read, readDump, readPacked } from './read.js';
import { largeSpecimen, type Specimen, specimens } from './specimens.js';

interface Original {
  readonly sent: readonly string[];
  /** Where in the file each of its keys ends. */
  readonly ends: readonly number[];
}

const originals = new Map<Specimen, Promise<Original>>();

/**
 * @returns `done`: imported whole; `waiting`: up to where it is cut off; `refused`: up to what is wrong.
 * @throws Error that says what is wrong with the reading.
 */
export async function tryDump(seed: number, nth: number, only: string): Promise<Tried> {
  const random = randomFrom(seed, nth);
  const some = specimens.filter(({ name }) => name.includes(only));
  if (some.length === 0) throw new Error(`no specimen has ${only} in its name`);
  const isLarge = only === '' && random.oneIn(100);
  const specimen = isLarge ? largeSpecimen : random.pick(some);
  const { name, file } = specimen;
  const original = await (originals.get(specimen) ?? readOriginal(specimen));
  const changed = mutated(file, random);
  const isHonest = random.oneIn(2);
  const dump = isHonest ? changed : summedUp(changed);
  const isPacked = random.oneIn(8);
  const read = isPacked
    ? await readPacked(packed(dump, random))
    : await readDump(dump, dump.length + 1);
  if (!isPacked) {
    const again = await readDump(dump, 1 + random.int(dump.length + 1));
    if (read.damage?.message !== again.damage?.message) {
      throw new Error(`in several pieces it ends differently: ${String(again.damage?.message)}`);
    }
    if (read.sent.join() !== again.sent.join()) {
      throw new Error('in several pieces it becomes something else');
    }
  }
  judge(read, { original, dump, file, isHonest, isPacked });
  if (!read.damage) return { name, ending: 'done' };
  return { name, ending: /is cut off/.test(read.damage.message) ? 'waiting' : 'refused' };
}

interface Circumstances {
  readonly original: Original;
  readonly file: Buffer;
  readonly dump: Buffer;
  readonly isHonest: boolean;
  readonly isPacked: boolean;
}

function judge({ sent, damage, isUnsummed }: Read, by: Circumstances): void {
  const { original, file, dump, isHonest, isPacked } = by;
  const { ends } = original;
  if (damage) {
    if (!(damage instanceof ImportError)) throw new Error('its error is none of ours');
    const isClear =
      isPacked || /byte \d+|newest that is known|append-only file/.test(damage.message);
    if (!isClear) throw new Error(`an error without a place: ${damage.message}`);
  } else if (isHonest && !isPacked && !isUnsummed && version(dump) >= 5 && !dump.equals(file)) {
    throw new Error('its checksum is wrong, and nobody noticed');
  }
  if (isPacked) return;
  // What stands before the first byte that is another one is as it was; the last may be what changed.
  let same = 0;
  while (same < Math.min(dump.length, file.length) && dump[same] === file[same]) same++;
  const whole = ends.filter((end) => end <= same).length;
  for (let at = 0; at < Math.min(whole, sent.length); at++) {
    if (sent[at] !== original.sent[at]) throw new Error(`key ${String(at)} is not as it was`);
  }
  if (sent.length < whole) throw new Error('a key that stands before the damage is missing');
}

/** Behind `REDIS` four digits, behind `VALKEY` three. */
const version = (dump: Buffer): number =>
  Number(/^(?:REDIS|VALKEY)(\d+)/.exec(dump.toString('latin1', 0, 9))?.[1] ?? 0);

async function readOriginal(specimen: Specimen): Promise<Original> {
  const { name, file } = specimen;
  const reading = (async () => {
    const { damage, sent } = await readDump(file, file.length);
    if (damage) throw new Error(`${name} itself is refused: ${damage.message}`);
    if (sent.length < 12) throw new Error(`${name} has ${String(sent.length)} keys only`);
    const { positions } = await readAll(file);
    return { sent, ends: positions.map(({ offset }) => offset) };
  })();
  originals.set(specimen, reading);
  return reading;
}

/** As gzip packs it, and sometimes damaged after that. */
function packed(dump: Buffer, random: Random): Buffer {
  const all = gzipSync(dump, { level: 1 });
  return random.oneIn(2) ? all : mutated(all, random);
}
