/**
 * What the clients of a source may have to wait because of a run.
 *
 * Nobody should have to know of a limit to be spared: by default there is none while nobody else is at work at the
 * source, and one while somebody is. It allows three times what a client waited there before the start, or 2 ms if that
 * is more: a server far away, or a busy one, is not held to what it never gave.
 */
import type { Allowance } from './limits.js';

/** In ms; `auto`: as said above; `off`: as long as it takes. */
export type LatencyBound = number | 'auto' | 'off';

/** As long as they have waited less than a third of it anyway. */
const leastBoundMs = 2;
const timesBefore = 3;
/**
 * Who has asked again and again will ask for more: the limit outlasts others for as long as they were seen, and not
 * longer than this. Somebody who just looked in holds nobody up.
 */
const longestRestMs = 10_000;
/**
 * In two pieces, so few keys keep nobody waiting for long; on a machine where everybody waits for a core,
 * fewer would bring the run to a standstill and help no one. Who names a bound gets it at any price.
 */
const leastKeys = 128;

export interface Quiet {
  /** How many others were at work when it was looked last; undefined: nobody knows. */
  readonly others: number | undefined;
  bind(bound: LatencyBound): void;
  /** The run has to keep up with the source's clients: `auto` spares nobody then. */
  keepUp(mustKeepUp: boolean): void;
  /** How long a client waits while the run does nothing. */
  noteBefore(waitMs: number): void;
  /** @param count undefined: nobody can tell, so there may be some. */
  noteOthers(count: number | undefined, atMs: number): void;
}

/** @param allowance has the limit that follows. */
export function createQuiet(allowance: Pick<Allowance, 'limit'>, given: LatencyBound): Quiet {
  let bound = given;
  let autoMs = leastBoundMs;
  let others: number | undefined = 0;
  let seen: { readonly firstMs: number; readonly lastMs: number } | undefined;
  let mustKeepUp = false;
  apply();

  function apply(): void {
    if (typeof bound === 'number') allowance.limit(bound);
    else allowance.limit(bound === 'auto' && seen && !mustKeepUp ? autoMs : undefined, leastKeys);
  }

  return {
    get others() {
      return others;
    },
    bind(next) {
      bound = next;
      apply();
    },
    keepUp(must) {
      mustKeepUp = must;
      apply();
    },
    noteBefore(waitMs) {
      autoMs = Math.max(leastBoundMs, Math.ceil(waitMs * timesBefore));
      apply();
    },
    noteOthers(count, atMs) {
      others = count;
      if (count !== 0) seen = { firstMs: seen?.firstMs ?? atMs, lastMs: atMs };
      else if (seen && atMs - seen.lastMs >= Math.min(longestRestMs, seen.lastMs - seen.firstMs)) {
        seen = undefined;
      }
      apply();
    },
  };
}

/** Of limits that hold at several servers, the one that is told. */
export function leastMs(limits: Iterable<number | null | undefined>): number | undefined {
  const known = [...limits].flatMap((limitMs) => limitMs ?? []);
  return known.length === 0 ? undefined : Math.min(...known);
}
