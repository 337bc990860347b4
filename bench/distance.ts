/**
 * `npm run bench -- distance`: how much of its rate the tool keeps when source and cluster are 5 and 50 ms away.
 *
 * The delay comes from proxies, which take processor time of their own on this very machine. So each
 * rate stands beside two others: without any proxy, and through the same proxies without delay.
 * (With `--rivals migrate` the source, too, reaches the nodes through the proxies.)
 */
import { present } from './contests.js';
import { strings64 } from './datasets/strings.js';
import { withArena } from './lab/arena.js';
import { withFarArena } from './lab/far-arena.js';
import { median } from './lab/medians.js';
import { measureStartUp } from './lab/rounds.js';
import { say } from './lab/say.js';
import { runTrial } from './lab/trial.js';
import type { BenchOptions } from './options.js';
import { recorded } from './recorded.js';
import { type Circumstances, saveResult } from './report/results.js';
import { short, table } from './report/table.js';
import { relay } from './rivals/ours.js';
import type { Arena, Rival } from './types.js';

const roundTripsMs = [0, 5, 50];

/** One rival along one way. */
interface Course {
  readonly rival: Rival;
  readonly way: string;
  readonly roundTripMs: number;
  readonly arena: Arena;
  readonly begin: () => void;
  startUpSeconds: number;
  readonly rates: number[];
}

export const distance = recorded(measureDistance);

function measureDistance(
  options: BenchOptions,
  circumstances: Circumstances,
): Promise<readonly string[]> {
  const keys = options.quick ? 100_000 : 1_000_000;
  const rivals = present(options.rivals ?? [relay]);
  return withArena((near) =>
    withFarArena(async (far) => {
      const courses = rivals.flatMap((rival): Course[] => {
        const course = { rival, startUpSeconds: 0, roundTripMs: 0 };
        return [
          { ...course, way: 'direct', arena: near, begin: () => undefined, rates: [] },
          ...roundTripsMs.map((roundTripMs) => ({
            ...course,
            way: `proxy, ${String(roundTripMs)} ms`,
            roundTripMs,
            arena: far,
            rates: [],
            begin: () => {
              far.setRoundTrip(roundTripMs);
            },
          })),
        ];
      });
      for (const course of courses) {
        course.begin();
        const startUp = await measureStartUp(course.arena, course.rival, strings64, 3);
        course.startUpSeconds = startUp.seconds;
      }
      for (let round = 0; round < options.rounds; round++) {
        for (const { begin, arena, rival, way, startUpSeconds, rates } of courses) {
          say(`${rival.name}, ${way}: round ${String(round + 1)} of ${String(options.rounds)}`);
          begin();
          const { seconds } = await runTrial(arena, { rival, dataset: strings64, keys });
          const rate = keys / (seconds - startUpSeconds);
          say(`  ${short(rate)} keys/s`);
          rates.push(rate);
        }
      }
      return report(courses, options, circumstances);
    }),
  );
}

function report(
  courses: readonly Course[],
  { results }: BenchOptions,
  circumstances: Circumstances,
): readonly string[] {
  const measured = courses.map(({ rival, way, roundTripMs, rates }) => {
    const ratioTo = (otherWay: string): number => {
      const other = courses.find((one) => one.rival === rival && one.way === otherWay);
      return median(rates.map((rate, round) => rate / (other?.rates[round] ?? NaN)));
    };
    return {
      rival: rival.name,
      way,
      roundTripMs,
      keysPerSecond: median(rates),
      ratioToDirect: ratioTo('direct'),
      ratioToProxy: ratioTo('proxy, 0 ms'),
    };
  });
  const rows = measured.map((one) => [
    `${one.rival}, ${one.way}`,
    short(one.keysPerSecond),
    short(one.ratioToDirect),
    short(one.ratioToProxy),
  ]);
  const head = ['way', 'keys/s', 'of direct', 'of proxy, 0 ms'];
  console.log(`\ndistance, ${strings64.title}\n${table(head, rows)}`);
  const result = { ...circumstances, measured };
  return [saveResult(results, 'distance', result)];
}
