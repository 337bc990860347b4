/**
 * When, by this machine's clock, the source said what it said.
 *
 * A line may stand still while an answer is on it, and a TTL that is counted from its arrival is
 * stretched by as long. So the source is asked for the time along with TTLs. What its clock shows means
 * nothing by itself, but how far behind ours it is seen does: the least that was seen lately is what
 * the way takes when nothing stands still. Whatever clocks do, an answer was given after its question
 * was sent and before it came in.
 */
import type { Connection } from '../../redis/connection.js';
import { ErrorReply, type Reply, textOf } from '../../redis/reply.js';

export interface SourceClock {
  /** The source doesn't tell the time. */
  readonly isRefused: boolean;
  /**
   * @param reply what it answered to TIME; undefined: it was not asked.
   * @param sentMs when it was asked.
   * @returns when it answered, as far as that can be told; undefined: it can't.
   */
  answeredMs(reply: Reply | undefined, sentMs: number): number | undefined;
}

/** The least is taken of so many answers and up to as many before: clocks drift. */
const answersInSight = 128;

const clocks = new WeakMap<Connection, SourceClock>();

/** Of a connection, because behind another one there may be another machine. */
export function clockOf(source: Connection): SourceClock {
  const known = clocks.get(source);
  if (known) return known;
  const clock = sourceClock();
  clocks.set(source, clock);
  return clock;
}

export function sourceClock(): SourceClock {
  let isRefused = false;
  let least = Infinity;
  let leastBefore = Infinity;
  let answers = 0;

  return {
    get isRefused() {
      return isRefused;
    },
    answeredMs(reply, sentMs) {
      const sourceMs = timeOf(reply);
      if (sourceMs === undefined) {
        isRefused ||= reply instanceof ErrorReply;
        return undefined;
      }
      const nowMs = Date.now();
      if (answers++ >= answersInSight) {
        leastBefore = least;
        least = Infinity;
        answers = 1;
      }
      least = Math.min(least, nowMs - sourceMs);
      const answeredMs = Math.round(sourceMs + Math.min(least, leastBefore));
      return Math.max(sentMs, Math.min(nowMs, answeredMs));
    },
  };
}

/** Seconds and the microseconds beyond them, in ms. */
function timeOf(reply: Reply | undefined): number | undefined {
  if (!Array.isArray(reply) || reply.length !== 2) return undefined;
  const [seconds = NaN, micros = NaN] = reply.map((one) => Number(textOf(one) || NaN));
  const ms = seconds * 1000 + micros / 1000;
  return Number.isFinite(ms) ? ms : undefined;
}
