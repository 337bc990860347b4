/**
 * Deadlines of a batch's keys, read ahead of the values so that they are known when those come.
 */
import { ProtocolError } from '../../errors.js';
import type { Connection } from '../../redis/connection.js';
import { lineText, type Reader, type Reply, ReplyReader } from '../../redis/reply.js';
import {
  COLON,
  command,
  headerEnd,
  headerNumber,
  keyCommandHead,
  MINUS,
} from '../../redis/frames.js';
import type { Keys } from '../../types.js';
import { clockOf } from './source-clock.js';

const pttlHead = keyCommandHead('PTTL');
const timeCommand = command('TIME');

/**
 * The servers' latest deadline is 2^63 - 1. What is beyond this one keeps clear of it by some weeks,
 * because doubles round here and the node's clock may be ahead: it is 292 million years off.
 */
const latestMs = 2 ** 63 - 2 ** 32;

/**
 * For a key that a node of a source cluster does not serve: it refuses the value as well. If its slot
 * became the node's own just in between, the value comes, and this is a deadline that no node takes.
 */
const unserved = Infinity;
const isUnserved = /^(MOVED|ASK|TRYAGAIN) /;

/**
 * Asks for each key's TTL, and then for the time, so that a line that stands still stretches none.
 * @returns for each key the ms since the epoch (by this machine's clock) at which it expires, 0 for
 *   never; filled by the time replies to later commands arrive.
 */
export function askDeadlines(source: Connection, keys: Keys): Float64Array {
  const deadlines = new Float64Array(keys.count);
  const clock = clockOf(source);
  const ttls = new PttlReader(deadlines, source);
  source.out.askEach(pttlHead, keys);
  source.expect(ttls);
  if (clock.isRefused) return deadlines;
  source.out.append(timeCommand);
  const settle = (reply: Reply): void => {
    ttls.givenAt(clock.answeredMs(reply, ttls.sentMs));
  };
  // Whoever asks for the values on this connection hears of its loss too.
  source.expect(new ReplyReader(settle, () => undefined));
  return deadlines;
}

class PttlReader implements Reader {
  done = false;
  readonly sentMs = Date.now();
  #place = 0;
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
    while (at < end && this.#place < this.deadlines.length) {
      const type = bytes[at];
      if (type === COLON) {
        const cr = headerEnd(bytes, at, end);
        if (cr === -1) return at;
        const ttlMs = headerNumber(bytes, at, cr);
        // -1: no TTL; -2: no such key, which its value's reply will say.
        if (ttlMs >= 0) this.deadlines[this.#place] = Math.min(this.sentMs + ttlMs, latestMs);
        else if (ttlMs < -2) throw new ProtocolError('a malformed reply to PTTL');
        at = cr + 2;
      } else {
        const text = type === MINUS ? lineText(bytes, at, end) : '';
        if (text === undefined) return at;
        if (!isUnserved.test(text)) {
          throw new ProtocolError(`a malformed reply to PTTL: ${text}`);
        }
        this.deadlines[this.#place] = unserved;
        at += text.length + 3;
      }
      this.#place++;
    }
    this.done = this.#place === this.deadlines.length;
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
    for (let place = 0; place < this.deadlines.length; place++) {
      const deadlineMs = this.deadlines[place] as number;
      if (deadlineMs === 0 || deadlineMs === unserved) continue;
      this.deadlines[place] = Math.min(deadlineMs + laterMs, latestMs);
    }
  }
}
