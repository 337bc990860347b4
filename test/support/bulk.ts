/**
 * Fills a server with many keys as fast as it takes them: commands are written to the socket in large
 * pieces, and what comes back is only looked through for errors.
 */
import { once } from 'node:events';
import { connect } from 'node:net';

interface Target {
  readonly host: string;
  readonly port: number;
}

interface Strings {
  readonly count: number;
  readonly valueBytes: number;
  /** Keys are `<prefix><number>`; the numbers start at `first`. */
  readonly prefix?: string;
  readonly first?: number;
}

/** Plain strings without TTLs: what the rates in docs/performance.md are measured with. */
export async function fillStrings(target: Target, strings: Strings): Promise<void> {
  const { count, valueBytes, prefix = 'key:', first = 0 } = strings;
  await send(target, count, (at) =>
    command('SET', `${prefix}${String(first + at)}`, stringValue(first + at, valueBytes)),
  );
}

/** What `fillStrings` gives to a key: it begins with the key's number. */
export function stringValue(at: number, bytes: number): string {
  return `${String(at)}:`.padEnd(bytes, 'abcdefghijklmnop').slice(0, bytes);
}

const small: readonly ((key: string, at: string) => string)[] = [
  (key, at) => command('SET', key, `value ${at}`),
  (key, at) => command('HSET', key, 'id', at, 'name', `name ${at}`, 'state', 'new'),
  (key, at) => command('RPUSH', key, at, 'two', 'three'),
  (key, at) => command('SADD', key, at, '1', '2', '3'),
  (key, at) => command('ZADD', key, at, 'a', '2.5', 'b'),
  (key, at) => command('XADD', key, '1-1', 'id', at, 'state', 'new'),
];

/** The key that `fillMixed` makes for a number, and whether it has a TTL: every third of a type. */
export function mixedKey(at: number): { readonly key: string; readonly expires: boolean } {
  const kind = at % small.length;
  return { key: `mixed:${String(at)}`, expires: Math.floor((at - kind) / small.length) % 3 === 0 };
}

/** Small values of every type in turn; a third of them with TTLs between one and two hours. */
export async function fillMixed(target: Target, count: number): Promise<void> {
  await send(target, count, (at) => {
    const { key, expires } = mixedKey(at);
    const write = small[at % small.length]?.(key, String(at)) ?? '';
    return expires ? write + command('PEXPIRE', key, String(3_600_000 + (at % 3_600_000))) : write;
  });
}

/** Only for arguments of plain ASCII. */
function command(...words: readonly string[]): string {
  const bulks = words.map((word) => `$${String(word.length)}\r\n${word}\r\n`);
  return `*${String(words.length)}\r\n${bulks.join('')}`;
}

const pieceLength = 256 * 1024;

async function send(target: Target, count: number, piece: (at: number) => string): Promise<void> {
  const socket = connect({ host: target.host, port: target.port, noDelay: true });
  const finished = answersUntil(socket, 'that was the last');
  // A failure is met below, after the writing that it may interrupt.
  finished.catch(() => undefined);
  await once(socket, 'connect');
  let text = '';
  for (let at = 0; at < count; at++) {
    text += piece(at);
    if (text.length < pieceLength) continue;
    if (!socket.write(text, 'latin1')) await Promise.race([once(socket, 'drain'), finished]);
    text = '';
  }
  socket.write(text + command('ECHO', 'that was the last'), 'latin1');
  await finished;
  socket.destroy();
}

/** Resolves when the last answer is there; rejects as soon as one of them is an error. */
function answersUntil(socket: ReturnType<typeof connect>, last: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let tail = '\r\n';
    socket.on('data', (chunk) => {
      const text = tail + chunk.toString('latin1');
      const error = /\r\n(-[^\r\n]*)/.exec(text)?.[1];
      if (error !== undefined) {
        socket.destroy();
        reject(new Error(`filling failed: ${error}`));
      }
      if (text.includes(last)) resolve();
      tail = text.slice(-2 * last.length);
    });
    socket.once('error', reject);
    socket.once('close', () => {
      reject(new Error('filling failed: the connection was closed'));
    });
  });
}
