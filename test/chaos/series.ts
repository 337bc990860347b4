/** Plays a series of rounds, each by its seed, and says what came of them. */
export interface SeriesOptions {
  /** One for each round. */
  readonly seeds: readonly number[];
  /** How many rounds are played at the same time, each on servers of its own. */
  readonly jobs?: number;
  readonly say: (line: string) => void;
}

interface Result {
  readonly plan: { readonly seed: number };
  /** Everything that is wrong, in words; empty: the round went well. */
  readonly complaints: readonly string[];
}

/** Servers for rounds that are played one after the other. */
export interface Stage<R> {
  play(seed: number): Promise<R>;
  /** Stops the servers: another round gets new ones. */
  stop(): Promise<void>;
}

/** What is a suite's own. */
interface Suite<R extends Result> {
  openStage(): Stage<R>;
  lineOf(result: R): string;
  summaryOf(results: readonly R[]): string;
  /** Plays it again, with flags behind it. */
  readonly command: string;
}

export async function playSeries<R extends Result>(
  options: SeriesOptions & Suite<R>,
): Promise<{ readonly results: readonly R[]; readonly failedSeeds: readonly number[] }> {
  const { seeds, say, jobs = 1 } = options;
  const results: R[] = [];
  const brokenSeeds: number[] = [];
  const left = [...seeds];

  /** One round after the other. */
  async function playSome(): Promise<void> {
    const stage = options.openStage();
    try {
      for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
        const result = await playTwice(seed, stage, say).catch((error: unknown) => {
          say(`seed ${String(seed)}; BROKEN OFF TWICE: ${String(error)}`);
        });
        if (!result) {
          brokenSeeds.push(seed);
          continue;
        }
        results.push(result);
        say(options.lineOf(result));
        for (const complaint of result.complaints.slice(0, 10)) say(`    ${complaint}`);
      }
    } finally {
      await stage.stop();
    }
  }

  await Promise.all(Array.from({ length: Math.min(jobs, seeds.length) }, playSome));
  const failedSeeds = [
    ...brokenSeeds,
    ...results.filter((one) => one.complaints.length > 0).map(({ plan }) => plan.seed),
  ].sort((one, other) => one - other);
  say(options.summaryOf(results));
  if (failedSeeds.length > 0) {
    say(`failed seeds: ${failedSeeds.join(' ')}; again, one at a time:`);
    say(`    ${options.command} --rounds 1 --trace --seed ${String(failedSeeds[0])}`);
  }
  return { results, failedSeeds };
}

/** A round may break off by what servers do to each other; then it is played on new ones. */
async function playTwice<R>(seed: number, stage: Stage<R>, say: SeriesOptions['say']): Promise<R> {
  try {
    return await stage.play(seed);
  } catch (error) {
    say(`seed ${String(seed)}; broken off, and played again: ${String(error)}`);
    await stage.stop();
    return await stage.play(seed);
  }
}

/** How often each of these came, in words. */
export function countsOf(words: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, times]) => `${word} ${String(times)}`).join(', ');
}
