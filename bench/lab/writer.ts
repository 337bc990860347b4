/** A client that writes to random keys of a server at a fixed rate, until it is stopped or refused. */
import { connect } from 'node:net';

/** What it writes at one time, every so often. */
const everyMs = 2;

export interface Writer {
  stop(): void;
  readonly answered: number;
  readonly longestWaitMs: number;
  /** Answers a second, up to now or to its end. */
  readonly writesPerSecond: number;
}

interface Pace {
  /** It writes to `key:0` up to, not including, `key:<keys>`. */
  readonly keys: number;
  /** Writes a second. */
  readonly rate: number;
}

export function startWriter(
  { host, port }: { readonly host: string; readonly port: number },
  { keys, rate }: Pace,
): Writer {
  const socket = connect({ host, port, noDelay: true });
  const startedMs = performance.now();
  let [sent, answered, longestWaitMs, seconds] = [0, 0, 0, 0];
  /** When each answer that is owed was asked for, and how many with it. */
  const owed: { readonly atMs: number; readonly upTo: number }[] = [];
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    const nowMs = performance.now();
    if (chunk.includes('-NOREPLICAS')) stop();
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) answered++;
    while (owed[0] && owed[0].upTo <= answered) {
      longestWaitMs = Math.max(longestWaitMs, nowMs - owed[0].atMs);
      owed.shift();
    }
  });
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedMs) / 1000) * rate);
    let text = '';
    while (sent < due) text += setCommand(Math.floor(Math.random() * keys), ++sent);
    if (text === '') return;
    owed.push({ atMs: performance.now(), upTo: sent });
    socket.write(text, 'latin1');
  }, everyMs);

  function stop(): void {
    if (seconds === 0) seconds = (performance.now() - startedMs) / 1000;
    clearInterval(timer);
    socket.destroy();
  }

  return {
    stop,
    get answered() {
      return answered;
    },
    get longestWaitMs() {
      return longestWaitMs;
    },
    get writesPerSecond() {
      return answered / (seconds || (performance.now() - startedMs) / 1000);
    },
  };
}

function setCommand(key: number, value: number): string {
  const [name, text] = [`key:${String(key)}`, String(value)];
  return `*3\r\n$3\r\nSET\r\n$${String(name.length)}\r\n${name}\r\n$${String(text.length)}\r\n${text}\r\n`;
}
