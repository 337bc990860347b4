import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { feed } from '../../support/feed.js';
import { mutated } from '../../fuzz/mutate.js';
import { randomFrom } from '../../support/random.js';
import { type Specimen, specimens } from '../../fuzz/readers.js';
import { tryInput } from '../../fuzz/trial.js';

const seeds = fc.integer({ min: 0 });

function read(specimen: Specimen, stream: Buffer, borders: readonly number[]) {
  const trial = specimen.begin();
  const { ending, taken } = feed(trial.reader, stream, borders);
  // What a refused reply had come to is of no use to anybody.
  return ending === 'refused' ? ending : { ending, taken, made: trial.made() };
}

describe.each(specimens.map((specimen) => [specimen.name, specimen] as const))(
  'the reader of %s',
  (_, specimen) => {
    it('makes the same of a reply in one piece, in two, and byte by byte', () => {
      fc.assert(
        fc.property(seeds, (seed) => {
          const stream = Buffer.from(specimen.valid(randomFrom(seed, 0)), 'latin1');
          const whole = read(specimen, stream, []);
          expect(whole).toMatchObject({ ending: 'done', taken: stream.length });
          const places = Array.from({ length: Math.min(stream.length, 400) }, (__, at) => at);
          expect(read(specimen, stream, places)).toEqual(whole);
          for (const place of places) expect(read(specimen, stream, [place])).toEqual(whole);
        }),
        { numRuns: 15 },
      );
    });

    it('waits for more wherever a valid reply is cut off', () => {
      fc.assert(
        fc.property(seeds, (seed) => {
          const stream = Buffer.from(specimen.valid(randomFrom(seed, 0)), 'latin1');
          for (let end = 0; end < Math.min(stream.length, 400); end++) {
            expect(read(specimen, stream.subarray(0, end), [])).toMatchObject({
              ending: 'waiting',
            });
          }
        }),
        { numRuns: 20 },
      );
    });

    it('treats a mutated reply the same, wherever that is cut', () => {
      fc.assert(
        fc.property(seeds, fc.array(fc.nat(60), { maxLength: 5 }), (seed, borders) => {
          const random = randomFrom(seed, 1);
          const stream = Buffer.from(mutated(specimen.valid(random), random), 'latin1');
          const cuts = borders.map((at) => Math.min(at, stream.length)).sort((a, b) => a - b);
          expect(read(specimen, stream, cuts)).toEqual(read(specimen, stream, []));
        }),
        { numRuns: 300 },
      );
    });
  },
);

it('stands 20,000 inputs of the fuzzer', () => {
  for (let nth = 0; nth < 20_000; nth++) tryInput(2024, nth);
});
