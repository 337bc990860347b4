/**
 * What MONITOR shows of a command: `1339518083.107412 [0 127.0.0.1:60866] "set" "key" "value"`, with
 * `lua` in the place of the client for what a script ran (https://redis.io/docs/latest/commands/monitor/).
 */
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
