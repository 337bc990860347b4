/** One input: what it is, and whether a reader treats it as it must. */
import { isDeepStrictEqual } from 'node:util';
import { feed } from '../support/feed.js';
import type { Tried } from './job.js';
import { garbage, mutated } from './mutate.js';
import { type Random, randomFrom } from '../support/random.js';
import { specimens } from './readers.js';

/** @throws Error that says what is wrong with the reader. */
export function tryInput(seed: number, nth: number): Tried {
  const random = randomFrom(seed, nth);
  const specimen = random.pick(specimens);
  const kind = random.int(10);
  const valid = kind < 2;
  const text =
    kind === 9
      ? garbage(random)
      : valid
        ? specimen.valid(random)
        : mutated(specimen.valid(random), random);
  const stream = Buffer.from(text, 'latin1');
  const whole = specimen.begin();
  const first = feed(whole.reader, stream);
  if (valid && (first.ending !== 'done' || first.taken !== stream.length)) {
    throw new Error(`a valid reply ended as ${first.ending}, ${first.error?.message ?? ''}`);
  }
  const cut = specimen.begin();
  const second = feed(cut.reader, stream, bordersOf(stream.length, random));
  if (first.ending !== second.ending) {
    throw new Error(`in one piece it is ${first.ending}, in several ${second.ending}`);
  }
  if (first.ending !== 'refused') {
    if (first.taken !== second.taken) throw new Error('in several pieces it takes another length');
    if (!isDeepStrictEqual(whole.made(), cut.made())) {
      throw new Error('in several pieces it becomes something else');
    }
  }
  return { name: specimen.name, ending: first.ending };
}

function bordersOf(length: number, random: Random): number[] {
  if (length < 100 && random.oneIn(3)) return Array.from({ length }, (_, at) => at);
  return Array.from({ length: 1 + random.int(4) }, () => random.int(length)).sort((a, b) => a - b);
}
