/**
 * The other clients of one source: whether they are at work there, and what they wait for while the run does
 * nothing. By that they are spared (limits/quiet.ts).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { RefusedError } from '../errors.js';
import type { Quiet } from '../limits/quiet.js';
import { parseInfo } from '../redis/control.js';
import { countOthersAtWork } from '../redis/other-clients.js';
import type { ReopenedControl } from '../redis/reopened-control.js';

/** Who is at work asks for something in that time, in ms; so few commands are those of Sentinels and replicas. */
const watchedMs = 50;
const restingCommands = 2;
/** In ms: enough to know what the source's clients wait. */
const measuredMs = 250;

export class SourceClients {
  #asked = 0;
  #isMeasured = false;

  /** @param control a connection of its own: what is asked over it is told from what others ask. */
  constructor(
    readonly quiet: Quiet,
    readonly control: ReopenedControl,
  ) {}

  /** To be called before the first key. What can't be asked now is not known: the pipeline reports a lost source. */
  async lookFirst(): Promise<void> {
    if (await this.#look()) await this.#measureBefore().catch(() => undefined);
  }

  /** The same while the run lasts: there is no telling then what a client would wait without it. */
  async look(): Promise<void> {
    const answers = await this.#look();
    if (answers && !this.#isMeasured) await this.#measure(0).catch(() => undefined);
  }

  close(): void {
    this.control.close();
  }

  /** @returns whether the server answers, if only by a refusal. */
  async #look(): Promise<boolean> {
    let answers = true;
    const counting = countOthersAtWork((...words) => this.#ask(...words));
    const count = await counting.catch((error: unknown) => {
      answers = error instanceof RefusedError;
      return undefined;
    });
    this.quiet.noteOthers(count, performance.now());
    return answers;
  }

  /** Of ours there is nothing else yet: whoever was at work just before the start may have ended with it. */
  async #measureBefore(): Promise<void> {
    const { others } = this.quiet;
    if (others === 0) {
      await this.#measure(0);
      return;
    }
    const before = (await this.#countCommands()) - this.#asked;
    await this.#measure(watchedMs);
    const commands = (await this.#countCommands()) - this.#asked - before;
    if (others !== undefined && commands <= restingCommands) {
      this.quiet.noteOthers(0, performance.now());
    } else await this.#measure(measuredMs);
  }

  async #measure(forMs: number): Promise<void> {
    this.quiet.noteBefore(await usualWait(() => this.#ask('PING'), forMs));
    this.#isMeasured = true;
  }

  async #countCommands(): Promise<number> {
    const stats = parseInfo(String(await this.#ask('INFO', 'stats')));
    return Number(stats.get('total_commands_processed'));
  }

  #ask(...words: readonly [string, ...string[]]): Promise<unknown> {
    this.#asked++;
    return this.control.call(...words);
  }
}

/* What a client of a server waits for an answer, as long as we ask for nothing else. */

const leastTries = 3;
const askEveryMs = 5;
const usualShare = 0.75;

/**
 * @param ping asks for the least that there is.
 * @param forMs how long others are watched at work, who make us wait; 0: the way is all that counts.
 * @returns in ms: what most answers came within.
 */
async function usualWait(ping: () => Promise<unknown>, forMs: number): Promise<number> {
  const waitsMs: number[] = [];
  const endMs = performance.now() + forMs;
  while (waitsMs.length < leastTries || performance.now() < endMs) {
    const sentMs = performance.now();
    await ping();
    waitsMs.push(performance.now() - sentMs);
    if (forMs > 0) await delay(askEveryMs);
  }
  waitsMs.sort((one, other) => one - other);
  const place = forMs > 0 ? Math.floor(waitsMs.length * usualShare) : 0;
  return waitsMs[place] ?? 0;
}
