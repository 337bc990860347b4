/**
 * Deadlines: of a batch's keys, read ahead of the values so that they are known when those come; by
 * which clock; and whether they have to be asked for at all.
 */
import { ProtocolError } from '../../errors.js';
import { ask } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import {
  COLON,
  command,
  headerEnd,
  headerNumber,
  keyCommandHead,
  MINUS,
} from '../../redis/frames.js';
import { deadlineToleranceMs } from '../../compare/pair.js';
import {
  ErrorReply,
  lineText,
  type Reader,
  type Reply,
  ReplyReader,
  textOf,
} from '../../redis/reply.js';
import type { Keys } from '../../types.js';

const pttlHead = keyCommandHead('PTTL');
const timeCommand = command('TIME');
const keyspaceCommand = command('INFO', 'keyspace');

/**
 * The servers' latest deadline is 2^63 - 1. What is beyond this one keeps clear of it by some weeks,
 * because doubles round here and the node's clock may be ahead: it is 292 million years off.
 */
export const latestDeadlineMs = 2 ** 63 - 2 ** 32;

/**
 * For a key that a node of a source cluster does not serve: it refuses the value as well. If its slot
 * became the node's own just in between, the value comes, and this is a deadline that no node takes.
 */
const unserved = Infinity;
const isUnserved = /^(MOVED|ASK|TRYAGAIN) /;

/** What a source has said of some keys' deadlines; filled by the time replies to later commands arrive. */
export interface Deadlines {
  /** For each key the ms since the epoch (by this machine's clock) at which it expires; 0: never. */
  readonly byKey: Float64Array;
  /**
   * Whether the source gave them all at one time, as far as its clock tells. Otherwise the line (or the
   * source) stood still in the midst of the question, and nobody knows how long ago each TTL was true.
   */
  readonly areSure: boolean;
}

/**
 * Asks for each key's TTL, and for the time before and after, so that a line that stands still stretches
 * none.
 */
export function askDeadlines(source: Connection, keys: Keys): Deadlines {
  const byKey = new Float64Array(keys.count);
  const clock = clockOf(source);
  const asked = { byKey, areSure: true };
  const ttls = new PttlReader(byKey, source);
  let earliestMs: number | undefined;
  if (!clock.isRefused) {
    source.out.append(timeCommand);
    source.expect(
      // Whoever asks for the values on this connection hears of its loss too.
      new ReplyReader(
        (reply) => {
          earliestMs = timeOf(reply);
        },
        () => undefined,
      ),
    );
  }
  source.out.askEach(pttlHead, keys);
  source.expect(ttls);
  if (clock.isRefused) return asked;
  source.out.append(timeCommand);
  const settle = (reply: Reply): void => {
    const latestMs = timeOf(reply) ?? 0;
    asked.areSure = latestMs - (earliestMs ?? latestMs) <= deadlineToleranceMs / 2;
    ttls.givenAt(clock.answeredMs(reply, ttls.sentMs));
  };
  source.expect(new ReplyReader(settle, () => undefined));
  return asked;
}

class PttlReader implements Reader {
  done = false;
  readonly sentMs = Date.now();
  #index = 0;
  /** When TTLs are taken to have been given. */
  #givenMs = this.sentMs;
  readonly #pausesBefore: number;

  constructor(
    readonly deadlines: Float64Array,
    readonly source: Pick<Connection, 'pauseCount'>,
  ) {
    this.#pausesBefore = source.pauseCount;
  }

  /** Whoever asks for the values on this connection hears of its loss too. */
  fail(): void {
    this.done = true;
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && this.#index < this.deadlines.length) {
      const type = bytes[at];
      if (type === COLON) {
        const cr = headerEnd(bytes, at, end);
        if (cr === -1) return at;
        const ttlMs = headerNumber(bytes, at, cr);
        // -1: no TTL; -2: no such key, which its value's reply will say.
        if (ttlMs >= 0)
          this.deadlines[this.#index] = Math.min(this.sentMs + ttlMs, latestDeadlineMs);
        else if (ttlMs < -2) throw new ProtocolError('a malformed reply to PTTL');
        at = cr + 2;
      } else {
        const text = type === MINUS ? lineText(bytes, at, end) : '';
        if (text === undefined) return at;
        if (!isUnserved.test(text)) {
          throw new ProtocolError(`a malformed reply to PTTL: ${text}`);
        }
        this.deadlines[this.#index] = unserved;
        at += text.length + 3;
      }
      this.#index++;
    }
    this.done = this.#index === this.deadlines.length;
    // An answer is read when it comes, unless reading was paused: then it may have lain for long, and
    // the source gave it soon after it was asked.
    const wasPaused = this.source.pauseCount !== this.#pausesBefore;
    if (this.done) this.givenAt(wasPaused ? this.sentMs : Date.now());
    return at;
  }

  /** @param ms undefined: nothing better is known than what was said before. */
  givenAt(ms: number | undefined): void {
    if (ms === undefined) return;
    const laterMs = ms - this.#givenMs;
    this.#givenMs = ms;
    if (laterMs === 0) return;
    for (let index = 0; index < this.deadlines.length; index++) {
      const deadlineMs = this.deadlines[index] as number;
      if (deadlineMs === 0 || deadlineMs === unserved) continue;
      this.deadlines[index] = Math.min(deadlineMs + laterMs, latestDeadlineMs);
    }
  }
}

/**
 * When, by this machine's clock, the source said what it said.
 *
 * A connection may stand still while an answer is on it, and a TTL that is counted from its arrival is
 * stretched by as long. So the source is asked for the time along with TTLs. What its clock shows means
 * nothing by itself, but how far behind ours it is seen does: the least that was seen lately is what
 * the way takes when nothing stands still. Whatever clocks do, an answer was given after its question
 * was sent and before it came in.
 */
export class SourceClock {
  /** The source doesn't tell the time. */
  isRefused = false;
  #least = Infinity;
  #leastBefore = Infinity;
  #answers = 0;

  /**
   * @param reply what it answered to TIME; undefined: it was not asked.
   * @param sentMs when it was asked.
   * @returns when it answered, as far as that can be told; undefined: it can't.
   */
  answeredMs(reply: Reply | undefined, sentMs: number): number | undefined {
    const sourceMs = timeOf(reply);
    if (sourceMs === undefined) {
      this.isRefused ||= reply instanceof ErrorReply;
      return undefined;
    }
    const nowMs = Date.now();
    if (this.#answers++ >= answersInSight) {
      this.#leastBefore = this.#least;
      this.#least = Infinity;
      this.#answers = 1;
    }
    this.#least = Math.min(this.#least, nowMs - sourceMs);
    const answeredMs = Math.round(sourceMs + Math.min(this.#least, this.#leastBefore));
    return Math.max(sentMs, Math.min(nowMs, answeredMs));
  }
}

/** The least is taken of so many answers and up to as many before: clocks drift. */
const answersInSight = 128;

const clocks = new WeakMap<Connection, SourceClock>();

/** Of a connection, because behind another one there may be another machine. */
export function clockOf(source: Connection): SourceClock {
  const clock = clocks.get(source) ?? new SourceClock();
  clocks.set(source, clock);
  return clock;
}

/**
 * Looks at the source's clock once, before TTLs are asked for: a reply that is late can only be told by one
 * that was not.
 * @throws ConnectionError when it is lost.
 */
export async function readClock(source: Connection): Promise<void> {
  const sentMs = Date.now();
  clockOf(source).answeredMs(await source.call('TIME'), sentMs);
}

/** Seconds and the microseconds beyond them, in ms. */
function timeOf(reply: Reply | undefined): number | undefined {
  if (!Array.isArray(reply) || reply.length !== 2) return undefined;
  const [seconds = NaN, micros = NaN] = reply.map((one) => Number(textOf(one) || NaN));
  const ms = seconds * 1000 + micros / 1000;
  return Number.isFinite(ms) ? ms : undefined;
}

/** What an answer to PTTL says, in ms since the epoch by this machine's clock; 0: it does not expire. */
export function deadlineIn(ttl: Reply): number {
  return typeof ttl === 'number' && ttl >= 0 ? Date.now() + ttl : 0;
}

/** Of points in time; 0: never. */
export function isNear(oneMs: number, otherMs: number): boolean {
  if (oneMs === 0 || otherMs === 0) return oneMs === otherMs;
  return Math.abs(oneMs - otherMs) <= deadlineToleranceMs;
}

/** What a database has of things that expire. */
export interface Expiring {
  /** Some key has a TTL. */
  readonly keys: boolean;
  /** Some field of a hash has a deadline. */
  readonly fields: boolean;
}

/**
 * Whether deadlines have to be asked for at all. A database in which nothing expires saves a question
 * for each key; INFO keyspace says so for the price of one.
 */
export class Expiry {
  #isKnown: boolean;
  #isKnownOfFields = false;
  readonly #line: RegExp;

  /**
   * @param db the database's number at the source.
   * @param expiringKeys how many keys had a TTL before the start.
   */
  constructor(db: number, expiringKeys: number) {
    this.#isKnown = expiringKeys > 0;
    this.#line = new RegExp(`^db${String(db)}:.*`, 'm');
  }

  /** Whether some key has a TTL, as last heard. */
  isKnown(): boolean {
    return this.#isKnown;
  }

  /** The same of fields. */
  isKnownOfFields(): boolean {
    return this.#isKnownOfFields;
  }

  /**
   * Asked behind values whose TTLs were not asked for.
   * @returns whether still no key had a TTL when they were read.
   */
  async confirmNone(source: Connection): Promise<boolean> {
    return !(await this.look(source)).keys;
  }

  /** What there was when the values were read behind which this is asked. */
  look(source: Connection): Promise<Expiring> {
    return ask(source, [keyspaceCommand], (reply) => {
      const text = Buffer.isBuffer(reply) ? textOf(reply) : '';
      const keys = !tellsOfNone(text, this.#line, noExpiringKeys);
      const fields = !tellsOfNone(text, this.#line, noExpiringFields);
      this.#isKnown ||= keys;
      this.#isKnownOfFields ||= fields;
      return { keys, fields };
    });
  }
}

const noExpiringKeys = /[:,]expires=0(?!\d)/;
/** Hashes with fields that expire: as Redis counts them (since 7.4), and Valkey (since 9.0). */
const noExpiringFields = /[:,](?:subexpiry|keys_with_volatile_items)=0(?!\d)/;

/**
 * A server that doesn't tell is taken to have what expires. One that has no line for a database
 * has nothing in it.
 */
function tellsOfNone(keyspace: string, line: RegExp, none: RegExp): boolean {
  const [ours] = line.exec(keyspace) ?? [];
  return ours === undefined ? /^# Keyspace/m.test(keyspace) : none.test(ours);
}
