/**
 * Chooses between movers by measuring: they take turns on the first keys, and the fastest goes on.
 * When its rate falls by half, they take turns again.
 *
 * Turns are clean: a mover begins when the one before has ended everything it had in flight, since
 * one that blocks the source would slow the other as well. A mover that may turn out to be very slow
 * gets its keys in small portions, so that its turn ends soon all the same.
 */
import { Gate } from '../async.js';
import { slice } from '../redis/frames.js';
import type { Batch, Copy, Mover, MoverName, Node, Outcome } from '../types.js';
import { type OutcomeBuilder, outcomeBuilder } from './outcome.js';

export interface AutoMover extends Mover {
  /** Why it is the one: the rates that were measured, or what rules the others out. */
  readonly reason: string;
  /** They are taking turns. */
  readonly measuring: boolean;
}

export interface Candidate {
  readonly mover: Mover;
  /**
   * Moves a single key the same way, impatiently, ahead of the first batch to a node; a mover that
   * can't get one key there is ruled out. Undefined: no need to try.
   */
  readonly probe?: ProbeMover;
  /** A mover whose probe keeps the source waiting for longer than this, key by key, is ruled out as well. */
  readonly longestCallMs?: number;
  /**
   * How many keys it gets at a time while it is measured, and how many such portions at once, to begin
   * with: both double as long as answers come quickly.
   */
  readonly portion?: Portion;
}

interface ProbeMover extends Mover {
  /** How long its shortest call to a node kept the source waiting; undefined where none did. */
  readonly callMs?: (node: Node) => number | undefined;
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

/** What a probe did with the first keys of a batch. */
interface Probed {
  readonly outcome: Outcome;
  readonly keyCount: number;
  /** Why its mover is ruled out, if it is. */
  readonly why?: string;
  /** What is known of the first of the keys that are left; undefined: what was known before. */
  readonly copy?: Copy | undefined;
}

const untried: Probed = { outcome: outcomeBuilder().build(), keyCount: 0 };

/** A probe that is slow may have had to connect first. */
const mostProbes = 2;
/** Answers within so many ms, and two round trips, are quick. */
const quickMs = 30;
const mostPortionKeys = 4096;
const mostPortionsAtOnce = 32;
/** Whose rate is below this share of another's needs no whole turn to lose. */
const farBehind = 0.7;
/** A rate is compared with the best one over so long. */
const watchMs = 2000;

/** @param candidates in the order of preference; the first also has the first turn. */
export function autoMover(
  candidates: readonly [Candidate, ...Candidate[]],
  options: AutoOptions = { roundTripMs: () => 0, isHeldBack: () => false, mustSpare: () => false },
): AutoMover {
  const rates = new Map<MoverName, number>();
  const ruledOut = new Map<MoverName, string>();
  /** What was tried at which node, or is being tried. */
  const probes = new Set<string>();
  let current: Candidate = candidates[0];
  let turnsLeft: Candidate[] | undefined = turns();
  let inflight = 0;
  /** Probes that are under way, or wait for the one before. */
  let probing = 0;
  let lastProbe: Promise<unknown> = Promise.resolve();
  /** The turn is over, and what is in flight has to end before the next one begins. */
  let isChanging = false;
  /** To be checked when any of these has changed. */
  const gate = new Gate();
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
    const tried = await probeAt(batch, whole);
    let doubted = tried.copy;
    let { keys } = batch;
    if (tried.keyCount > 0) keys = slice(keys, tried.keyCount, keys.count);
    for (;;) {
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
        // Ruled out at another node: the next in turn takes them.
        if (!outcome) continue;
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
      await gate.until(isFree);
      if (options.mustSpare() !== isSparing) turnTo(!isSparing);
      // Others have gone on in the same moment.
      if (!isFree()) continue;
      meter.busy();
      inflight++;
      return;
    }
  }

  function isFree(): boolean {
    const most = (turnsLeft && portions.get(current)?.atOnce) ?? Infinity;
    return !isChanging && probing === 0 && inflight < most;
  }

  /** From now on the source's clients must not wait, or may again: then it is measured anew. */
  function turnTo(spares: boolean): void {
    isSparing = spares;
    turnsLeft = spares ? [] : turns();
    rates.clear();
    isChanging = true;
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
    if (!isChanging && candidate === current) meter.restart();
  }

  function ended(): void {
    inflight--;
    if (inflight === 0) meter.idle();
    gate.check();
    // Later, so that whoever gave the batch still sees who moved it.
    if (isChanging && inflight === 0) setImmediate(nextTurn);
  }

  /** @returns undefined where the mover is ruled out. */
  async function moveBy({ mover }: Candidate, batch: Batch): Promise<Outcome | undefined> {
    if (ruledOut.has(mover.name)) return undefined;
    const outcome = await mover.move(batch);
    note(outcome.moved);
    return outcome;
  }

  /**
   * Lets the first batch to a node try a mover that may not get there, ahead of all turns: who is ruled out
   * needs none. Nothing else is under way meanwhile: what a mover deletes at the source looks like
   * somebody else's write to another.
   * @param whole takes what they did.
   */
  async function probeAt(
    batch: Batch,
    whole: OutcomeBuilder,
  ): Promise<Pick<Probed, 'keyCount' | 'copy'>> {
    const found = candidates.find(
      (one) =>
        one.probe &&
        (turnsLeft?.includes(one) === true || one === current) &&
        !ruledOut.has(one.mover.name) &&
        !probes.has(probeId(one.mover, batch.node)),
    );
    if (!found?.probe || batch.keys.count < 2 || options.mustSpare()) return { keyCount: 0 };
    const { mover, probe, longestCallMs = Infinity } = found;
    const id = probeId(mover, batch.node);
    probes.add(id);
    const trying = alone(async () => {
      // By another node, while this one waited for its turn.
      if (ruledOut.has(mover.name)) return untried;
      const tried = await tryOut(probe, longestCallMs, batch);
      if (tried.why !== undefined) ruleOut(found, tried.why);
      return tried;
    });
    // A probe that lost its connections has found out nothing: the next batch tries again.
    trying.catch(() => probes.delete(id));
    const { outcome, ...tried } = await trying;
    whole.add(outcome);
    return tried;
  }

  async function alone<T>(work: () => Promise<T>): Promise<T> {
    probing++;
    const before = lastProbe;
    const working = before.then(async () => {
      await gate.until(() => inflight === 0);
      return work();
    });
    lastProbe = working.catch(() => undefined);
    try {
      return await working;
    } finally {
      probing--;
      gate.check();
    }
  }

  function ruleOut(candidate: Candidate, why: string): void {
    ruledOut.set(candidate.mover.name, why);
    if (candidate === current) {
      isChanging = true;
      if (inflight === 0) nextTurn();
    } else if (turnsLeft && ruledOut.size === candidates.length - 1) {
      // Who is left needs no turns.
      turnsLeft = undefined;
    }
  }

  async function tryOut(probe: ProbeMover, longestMs: number, batch: Batch): Promise<Probed> {
    const outcome = outcomeBuilder();
    const isSlow = (): boolean => (probe.callMs?.(batch.node) ?? 0) > longestMs;
    let keyCount = 0;
    do {
      const one = await probe.move({ ...batch, keys: slice(batch.keys, keyCount, keyCount + 1) });
      const trouble = one.retries.find(
        ({ class: kind, refusal }) => kind === 'unavailable' || refusal !== undefined,
      );
      if (trouble) {
        const { message, copy } = trouble;
        return { outcome: outcome.build(), keyCount, why: message, copy };
      }
      outcome.add(one);
      keyCount++;
    } while (isSlow() && keyCount < Math.min(mostProbes, batch.keys.count - 1));
    const tried = { outcome: outcome.build(), keyCount };
    if (!isSlow()) return tried;
    const ms = String(Math.round(probe.callMs?.(batch.node) ?? 0));
    return { ...tried, why: `a single key keeps the source waiting for ${ms} ms` };
  }

  function note(moved: number): void {
    const measured = isChanging ? undefined : meter.add(moved);
    if (!measured) return;
    const { rate } = measured;
    if (turnsLeft) {
      const isFarBehind = rate < Math.max(...rates.values()) * farBehind;
      if (measured.tells === 'nothing' || (measured.tells === 'something' && !isFarBehind)) return;
      // Of a mover's turns the better one counts: what it does first warms up everything.
      rates.set(current.mover.name, Math.max(rate, rateOf(current)));
      isChanging = true;
      return;
    }
    if (measured.elapsedMs < watchMs) return;
    meter.end();
    if (options.isHeldBack()) return;
    bestRate = Math.max(bestRate, rate);
    if (rate >= bestRate / 2) return;
    turnsLeft = turns();
    rates.clear();
    isChanging = true;
  }

  function nextTurn(): void {
    if (!isChanging || inflight > 0) return;
    const next = turnsLeft?.shift();
    const isLast = ruledOut.size === candidates.length - 1;
    if (next && !ruledOut.has(next.mover.name) && !isLast) current = next;
    else {
      turnsLeft = undefined;
      current = isSparing ? candidates[0] : fastest();
      bestRate = rates.get(current.mover.name) ?? 0;
    }
    meter.end();
    isChanging = false;
    gate.check();
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

function probeId(mover: Mover, { address }: Node): string {
  return `${mover.name} ${address}`;
}

/*
 * How fast a mover is in its turn: its start does not count, nor what it does with less than it can take,
 * nor the time when there is nothing to do.
 */

/** How long a turn lasts at least, and how much of its start does not count: in ms, and in round trips. */
const turn = { ms: 250, roundTrips: 12, answers: 4 };
const warmUp = { ms: 100, roundTrips: 4 };
/** How long it must have had as much as it can take, so that a rate tells something early. */
const early = { ms: 30, roundTrips: 3 };

interface Measured {
  /** In keys a second. */
  readonly rate: number;
  /** Since the beginning, the time of nothing to do left out. */
  readonly elapsedMs: number;
  /**
   * How much the rate tells: `all` after a whole turn; `something` after half of one, and before its start is
   * over, as soon as the mover has as much as it can take.
   */
  readonly tells: 'nothing' | 'something' | 'all';
}

class RateMeter {
  #startMs: number | undefined;
  #idleFromMs: number | undefined;
  #idleMs = 0;
  #movedKeys = 0;
  #answers = 0;
  #isAnswered = false;
  /** Since it has as much as it had now. */
  #steady = { fromMs: 0, keys: 0, answers: 0 };

  /** @param roundTripMs how far the source is. */
  constructor(readonly roundTripMs: () => number) {}

  /** Measures from now on, if it does not do so already. */
  begin(): void {
    if (this.#startMs !== undefined) return;
    this.#isAnswered = false;
    this.#startAt(performance.now());
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
    this.#steady = { fromMs: nowMs - this.#idleMs, keys: 0, answers: 0 };
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

  /** @returns undefined before the first answer. */
  add(moved: number): Measured | undefined {
    if (this.#startMs === undefined) return undefined;
    if (!this.#isAnswered) {
      // Until the first answer is there, it is the way that takes the time, and what is asked for in one go.
      this.#startAt(performance.now());
      this.#isAnswered = true;
      return undefined;
    }
    const workedMs = performance.now() - this.#idleMs;
    const elapsedMs = workedMs - this.#startMs;
    const warmUpMs = this.#warmUpMs();
    const countedMs = elapsedMs - warmUpMs;
    if (countedMs < 0) return this.#early(moved, workedMs, elapsedMs);
    this.#movedKeys += moved;
    this.#answers++;
    const turnMs = Math.max(turn.ms, turn.roundTrips * this.roundTripMs());
    const isOften = this.#answers >= turn.answers;
    const isHalf = countedMs >= (turnMs - warmUpMs) / 2;
    const tells = elapsedMs >= turnMs ? 'all' : isHalf ? 'something' : 'nothing';
    const rate = (this.#movedKeys / countedMs) * 1000;
    return { rate, elapsedMs, tells: isOften ? tells : 'nothing' };
  }

  #early(moved: number, workedMs: number, elapsedMs: number): Measured {
    this.#movedKeys = 0;
    this.#steady.keys += moved;
    this.#steady.answers++;
    const steadyMs = workedMs - this.#steady.fromMs;
    const isLong = steadyMs >= Math.max(early.ms, early.roundTrips * this.roundTripMs());
    const tells = isLong && this.#steady.answers >= turn.answers ? 'something' : 'nothing';
    return { rate: (this.#steady.keys / steadyMs) * 1000, elapsedMs, tells };
  }

  #warmUpMs(): number {
    return Math.max(warmUp.ms, warmUp.roundTrips * this.roundTripMs());
  }

  #startAt(ms: number): void {
    this.#startMs = ms;
    this.#idleMs = 0;
    this.#movedKeys = 0;
    this.#answers = 0;
    this.#steady = { fromMs: ms, keys: 0, answers: 0 };
  }
}
