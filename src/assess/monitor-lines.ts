/**
 * The lines of MONITOR's reply, one for each command:
 * `1339518083.107412 [0 127.0.0.1:60866] "set" "key" "value"`, with `lua` in the place of the client
 * for what a script ran (https://redis.io/docs/latest/commands/monitor/).
 */
import type { Reader } from '../redis/reply.js';

export interface Seen {
  readonly db: number;
  /** `host:port`, a socket's path, or `lua`. */
  readonly client: string;
  /** The command and its arguments, one character a byte. */
  readonly words: readonly string[];
  /** It was too long: words behind these are not known. */
  readonly isCut?: boolean;
}

const pattern = /^\d+\.\d+ \[(\d+) (.*?)\] "/;
const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b' };

/** @returns nothing for what is no command. */
export function parseMonitorLine(line: string, isCut = false): Seen | undefined {
  const match = pattern.exec(line);
  if (!match) return undefined;
  const words: string[] = [];
  for (const [, quoted = ''] of line.slice(match[0].length - 1).matchAll(/"((?:[^"\\]|\\.)*)"/g)) {
    words.push(quoted.includes('\\') ? unescaped(quoted) : quoted);
  }
  return { db: Number(match[1]), client: match[2] ?? '', words, ...(isCut && { isCut }) };
}

function unescaped(text: string): string {
  return text.replace(/\\(x[0-9a-f]{2}|.)/g, (_, sign: string) =>
    sign.length === 3 ? String.fromCharCode(parseInt(sign.slice(1), 16)) : (escapes[sign] ?? sign),
  );
}

const LF = 10;
/** What is kept of a line, its end included: keys stand ahead of most values. */
export const keptBytes = 256 * 1024;

/**
 * Cuts the reply into lines. Never done: they come until the connection is closed. Where a line is cut does not depend on the
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
