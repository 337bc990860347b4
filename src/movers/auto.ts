/**
 * Chooses between movers by measuring: they take turns on the first keys, and the fastest goes on.
 * When its rate falls by half, they take turns again.
 *
 * Turns are clean: a mover begins when the one before has ended everything it had in flight, since
 * one that blocks the source would slow the other as well. A mover that may turn out to be very slow
 * gets its keys in small portions, so that its turn ends soon all the same.
 */
import { slice } from '../redis/keys.js';
import type { Batch, Copy, Mover, MoverName, Outcome } from '../types.js';
import { outcomeBuilder } from './outcome.js';

export interface AutoMover extends Mover {
  /** Why it is the one: the rates that were measured, or what rules the others out. */
  readonly reason: string;
  /** They are taking turns. */
  readonly measuring: boolean;
}

export interface Candidate {
  readonly mover: Mover;
  /**
   * Moves a single key the same way, impatiently, before the first turn at a node; a mover that
   * can't get one key there is ruled out. Undefined: no need to try.
   */
  readonly probe?: Mover;
  /**
   * How many keys it gets at a time while it is measured, and how many such portions at once, to begin
   * with: both double as long as answers come quickly.
   */
  readonly portion?: Portion;
}

interface Portion {
  readonly keys: number;
  readonly atOnce: number;
}

export interface AutoOptions {
  /** How far the source is. */
  roundTripMs(): number;
  /** Somebody wants the run to be slow: a rate then tells nothing of the mover. */
  readonly isHeldBack: () => boolean;
  /** The source's other clients must not wait: then it is the first mover, whose pieces are as small as need be. */
  readonly mustSpare: () => boolean;
}

/** How a batch was left by a mover that its probe ruled out: what the probe may have done with its first key. */
interface Untaken {
  readonly untaken: true;
  readonly copy: Copy | undefined;
}

/** Answers within so many ms, and two round trips, are quick. */
const quickMs = 30;
const mostPortionKeys = 4096;
const mostPortionsAtOnce = 32;
/** A rate is compared with the best one over so long. */
const watchMs = 2000;

/** @param candidates in the order of preference; the first also has the first turn. */
export function autoMover(
  candidates: readonly [Candidate, ...Candidate[]],
  options: AutoOptions = { roundTripMs: () => 0, isHeldBack: () => false, mustSpare: () => false },
): AutoMover {
  const rates = new Map<MoverName, number>();
  const ruledOut = new Map<MoverName, string>();
  const probes = new Map<string, Promise<boolean>>();
  let current: Candidate = candidates[0];
  let turnsLeft: Candidate[] | undefined = turns();
  let inflight = 0;
  const waiting: (() => void)[] = [];
  let change: { done: Promise<void>; settle: () => void } | undefined;
  const meter = new RateMeter(() => options.roundTripMs());
  const portions = new Map(candidates.map((one) => [one, one.portion]));
  let bestRate = 0;
  let isSparing = false;

  /** The first one twice, because what it does first warms up everything. */
  function turns(): Candidate[] {
    const [first, ...others] = candidates.filter(({ mover }) => !ruledOut.has(mover.name));
    return first && others.length > 0 ? [...others, first] : [];
  }

  async function move(batch: Batch): Promise<Outcome> {
    const whole = outcomeBuilder();
    let doubted: Copy | undefined;
    for (let { keys } = batch; ;) {
      await room();
      const candidate = current;
      const portion = (turnsLeft && portions.get(candidate)?.keys) ?? keys.count;
      const most = doubted === undefined ? portion : 1;
      const some = most < keys.count ? slice(keys, 0, most) : keys;
      const startedMs = performance.now();
      try {
        meter.begin();
        const copy = doubted ?? batch.copy;
        const outcome = await moveBy(candidate, { ...batch, copy, keys: some });
        // Ruled out by its probe: the next in turn takes them, and knows what it may find.
        if ('untaken' in outcome) {
          doubted ??= outcome.copy;
          continue;
        }
        doubted = undefined;
        grow(candidate, some.count, performance.now() - startedMs);
        if (some === batch.keys) return outcome;
        whole.add(outcome);
        if (some === keys) return whole.build();
        keys = slice(keys, some.count, keys.count);
      } finally {
        ended();
      }
    }
  }

  /** Waits until there is room for something more in flight, and takes it. */
  async function room(): Promise<void> {
    for (;;) {
      if (change) await change.done;
      else if (options.mustSpare() !== isSparing) turnTo(!isSparing);
      else if (turnsLeft && inflight >= (portions.get(current)?.atOnce ?? Infinity)) {
        await new Promise<void>((go) => waiting.push(go));
      } else {
        // At once: others who wait go on in the same moment.
        meter.busy();
        inflight++;
        return;
      }
    }
  }

  /** From now on the source's clients must not wait, or may again: then it is measured anew. */
  function turnTo(spares: boolean): void {
    isSparing = spares;
    turnsLeft = spares ? [] : turns();
    rates.clear();
    endTurn();
    if (inflight === 0) nextTurn();
  }

  /** A mover that is quick gets more, until it is as busy as it would be by itself. */
  function grow(candidate: Candidate, keyCount: number, tookMs: number): void {
    const portion = portions.get(candidate);
    if (!portion || !turnsLeft || keyCount < portion.keys / 2) return;
    if (tookMs > quickMs + 2 * options.roundTripMs()) return;
    const keys = Math.min(mostPortionKeys, portion.keys * 2);
    const atOnce = Math.min(mostPortionsAtOnce, portion.atOnce * 2);
    if (keys === portion.keys && atOnce === portion.atOnce) return;
    portions.set(candidate, { keys, atOnce });
    // What it did with less tells nothing.
    if (!change && candidate === current) meter.restart();
  }

  function ended(): void {
    inflight--;
    if (inflight === 0) meter.idle();
    for (const go of waiting.splice(0)) go();
    // Later, so that whoever gave the batch still sees who moved it.
    if (change && inflight === 0) setImmediate(nextTurn);
  }

  async function moveBy(candidate: Candidate, batch: Batch): Promise<Outcome | Untaken> {
    const { mover, probe } = candidate;
    const id = `${mover.name} ${batch.node.address}`;
    const probing = probe && batch.keys.count > 1 ? probes.get(id) : Promise.resolve(true);
    if (probe && !probing) return moveProbing(probe, mover, batch, id);
    if (!(await probing)) return { untaken: true, copy: undefined };
    const outcome = await mover.move(batch);
    note(outcome.moved);
    return outcome;
  }

  /** Moves the first key by the probe, and the others by the mover if that went well. */
  async function moveProbing(
    probe: Mover,
    mover: Mover,
    batch: Batch,
    id: string,
  ): Promise<Outcome | Untaken> {
    const trying = probe.move({ ...batch, keys: slice(batch.keys, 0, 1) });
    const trouble = trying.then(({ retries }) =>
      retries.find((one) => one.class === 'unavailable' || one.refusal !== undefined),
    );
    const well = trouble.then((found) => found === undefined);
    probes.set(id, well);
    // A probe that lost its connections has found out nothing: the next batch tries again.
    well.catch(() => probes.delete(id));
    const found = await trouble;
    if (found) {
      ruledOut.set(mover.name, found.message);
      endTurn();
      return { untaken: true, copy: found.copy };
    }
    const outcome = outcomeBuilder();
    outcome.add(await trying);
    outcome.add(await mover.move({ ...batch, keys: slice(batch.keys, 1, batch.keys.count) }));
    return outcome.build();
  }

  function note(moved: number): void {
    const measured = change ? undefined : meter.add(moved);
    if (!measured) return;
    const { rate } = measured;
    if (turnsLeft) {
      if (!measured.isTelling) return;
      // Of a mover's turns the better one counts: what it does first warms up everything.
      rates.set(current.mover.name, Math.max(rate, rateOf(current)));
      endTurn();
      return;
    }
    if (measured.elapsedMs < watchMs) return;
    meter.end();
    if (options.isHeldBack()) return;
    bestRate = Math.max(bestRate, rate);
    if (rate >= bestRate / 2) return;
    turnsLeft = turns();
    rates.clear();
    endTurn();
  }

  function endTurn(): void {
    if (change) return;
    let settle = (): void => undefined;
    const done = new Promise<void>((resolve) => (settle = resolve));
    change = { done, settle };
  }

  function nextTurn(): void {
    if (!change || inflight > 0) return;
    const next = turnsLeft?.shift();
    if (next && !ruledOut.has(next.mover.name)) current = next;
    else {
      turnsLeft = undefined;
      current = isSparing ? candidates[0] : fastest();
      bestRate = rates.get(current.mover.name) ?? 0;
    }
    meter.end();
    const { settle } = change;
    change = undefined;
    settle();
  }

  function fastest(): Candidate {
    const usable = candidates.filter(({ mover }) => !ruledOut.has(mover.name));
    return usable.reduce(
      (best, one) => (rateOf(one) > rateOf(best) ? one : best),
      usable[0] ?? candidates[0],
    );
  }

  function isMeasuring(): boolean {
    return turnsLeft !== undefined && ruledOut.size < candidates.length - 1;
  }

  function rateOf({ mover }: Candidate): number {
    return rates.get(mover.name) ?? 0;
  }

  return {
    get name() {
      return current.mover.name;
    },
    get measuring() {
      return isMeasuring();
    },
    get reason() {
      const out = [...ruledOut].map(([name, why]) => `${name} was ruled out: ${why}`);
      // Who has the turn when a run ends need not be the faster one.
      if (isSparing) return out[0] ?? 'MIGRATE would keep other clients of the source waiting';
      if (isMeasuring() || rates.size < 2) return out[0] ?? 'the run was too short to measure both';
      const measured = [...rates].map(
        ([name, rate]) => `${name} ${Math.round(rate).toLocaleString('en')} keys/s`,
      );
      return `measured: ${measured.join(', ')}${out.length > 0 ? `; ${out.join('; ')}` : ''}`;
    },
    move,
  };
}

/*
 * How fast a mover is in its turn: its start does not count, nor what it does with less than it can take,
 * nor the time when there is nothing to do.
 */

/** How long a turn lasts at least, and how much of its start does not count: in ms, and in round trips. */
const turn = { ms: 250, roundTrips: 12, answers: 4 };
const warmUp = { ms: 100, roundTrips: 4 };

interface Measured {
  /** In keys a second. */
  readonly rate: number;
  /** Since the beginning, the time of nothing to do left out. */
  readonly elapsedMs: number;
  /** It was watched for long enough to tell. */
  readonly isTelling: boolean;
}

class RateMeter {
  #startMs: number | undefined;
  #idleFromMs: number | undefined;
  #idleMs = 0;
  #movedKeys = 0;
  #answers = 0;

  /** @param roundTripMs how far the source is. */
  constructor(readonly roundTripMs: () => number) {}

  /** Measures from now on, if it does not do so already. */
  begin(): void {
    if (this.#startMs === undefined) this.#startAt(performance.now());
  }

  /** Forgets all; `begin` has to be called again. */
  end(): void {
    this.#startMs = undefined;
  }

  /** Measures anew, its start being over: what it did so far was done with less. */
  restart(): void {
    if (this.#startMs === undefined) return;
    const nowMs = performance.now();
    const warmUpMs = this.#warmUpMs();
    if (nowMs - this.#startMs - this.#idleMs > warmUpMs) this.#startAt(nowMs - warmUpMs);
  }

  /** There is nothing to do, which is not the mover's fault. */
  idle(): void {
    this.#idleFromMs = performance.now();
  }

  busy(): void {
    if (this.#idleFromMs !== undefined) this.#idleMs += performance.now() - this.#idleFromMs;
    this.#idleFromMs = undefined;
  }

  /** @returns undefined while it warms up. */
  add(moved: number): Measured | undefined {
    if (this.#startMs === undefined) return undefined;
    const elapsedMs = performance.now() - this.#startMs - this.#idleMs;
    const countedMs = elapsedMs - this.#warmUpMs();
    if (countedMs < 0) {
      this.#movedKeys = 0;
      return undefined;
    }
    this.#movedKeys += moved;
    this.#answers++;
    const turnMs = Math.max(turn.ms, turn.roundTrips * this.roundTripMs());
    return {
      rate: (this.#movedKeys / countedMs) * 1000,
      elapsedMs,
      isTelling: elapsedMs >= turnMs && this.#answers >= turn.answers,
    };
  }

  #warmUpMs(): number {
    return Math.max(warmUp.ms, warmUp.roundTrips * this.roundTripMs());
  }

  #startAt(ms: number): void {
    this.#startMs = ms;
    this.#idleMs = 0;
    this.#movedKeys = 0;
    this.#answers = 0;
  }
}
