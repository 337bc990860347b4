/** Takes MONITOR's answer to pieces: a line for each command, without end. */
import type { Reader } from '../redis/reader.js';

const LF = 10;
/** What is kept of a line, its end included: keys stand ahead of most values. */
export const keptBytes = 256 * 1024;

/**
 * Never done: lines come until the connection is closed. Where a line is cut does not depend on the
 * pieces that it comes in.
 */
export function linesReader(
  onLine: (line: string, isCut: boolean) => void,
  fail: (error: Error) => void,
): Reader {
  let held = '';
  let isCut = false;
  const hold = (bytes: Buffer, from: number, end: number): void => {
    const kept = Math.min(end, from + keptBytes - held.length);
    held += bytes.toString('latin1', from, kept);
    isCut ||= kept < end;
  };
  return {
    done: false,
    idle: true,
    fail,
    take(bytes, from, end) {
      let at = from;
      for (let lf = bytes.indexOf(LF, at); lf !== -1 && lf < end; lf = bytes.indexOf(LF, at)) {
        hold(bytes, at, lf);
        onLine(held.endsWith('\r') ? held.slice(0, -1) : held, isCut);
        held = '';
        isCut = false;
        at = lf + 1;
      }
      hold(bytes, at, end);
      return end;
    },
  };
}
