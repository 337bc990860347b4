/**
 * Replies of a connection that has asked for MONITOR, without the lines of MONITOR.
 *
 * A line tells of a command, whoever has sent it, and stands where an answer, or an element of one, could begin:
 * `+1700000000.123456 [0 127.0.0.1:6000] "GET" "key"`. No status that a server answers looks like that.
 */
import { DOLLAR, LF, PLUS } from './frames.js';

const dot = 0x2e;
const zero = 0x30;
const nine = 0x39;

export class MonitorFilter {
  /** What was not decided yet: the start of a line, of which more has to come. */
  #rest: Buffer = Buffer.alloc(0);
  /** How many bytes of a value are still to come, with the end of its line. */
  #valueLeft = 0;
  /** In the midst of a line, which is left out or passed on. */
  #line: 'none' | 'left out' | 'passed on' = 'none';

  /** @returns the bytes that are answers, as slices of what was given. */
  without(chunk: Buffer): readonly Buffer[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const kept: Buffer[] = [];
    let from = 0;
    let at = 0;
    const keep = (): void => {
      if (from < at) kept.push(bytes.subarray(from, at));
    };
    while (at < bytes.length) {
      if (this.#valueLeft > 0) {
        const part = Math.min(this.#valueLeft, bytes.length - at);
        this.#valueLeft -= part;
        at += part;
        continue;
      }
      if (this.#line === 'none') {
        const isMonitors = startsMonitorLine(bytes, at);
        // A header tells how much comes behind it: it is looked at as a whole.
        const end = bytes[at] === DOLLAR ? bytes.indexOf(LF, at) : 0;
        if (isMonitors === undefined || end === -1) break;
        if (isMonitors) keep();
        this.#line = isMonitors ? 'left out' : 'passed on';
        if (bytes[at] === DOLLAR) {
          const length = Number(bytes.toString('latin1', at + 1, end - 1));
          this.#valueLeft = length < 0 ? 0 : length + 2;
        }
      }
      const end = bytes.indexOf(LF, at);
      const isOut = this.#line === 'left out';
      at = end === -1 ? bytes.length : end + 1;
      if (isOut) from = at;
      if (end !== -1) this.#line = 'none';
    }
    keep();
    this.#rest = Buffer.from(bytes.subarray(at));
    return kept;
  }
}

/** @returns undefined where more has to come before it can be told. */
function startsMonitorLine(bytes: Buffer, from: number): boolean | undefined {
  if (bytes[from] !== PLUS) return false;
  let at = from + 1;
  while (at < bytes.length && isDigit(bytes[at] as number)) at++;
  if (at === bytes.length) return undefined;
  return at > from + 1 && bytes[at] === dot;
}

const isDigit = (byte: number): boolean => byte >= zero && byte <= nine;
