/**
 * The data plane's connection: prepared commands out, raw reply frames in, in order.
 *
 * It knows nothing of commands. The caller that writes one also names the reader of its reply, and a reader
 * takes what it can of each chunk where it lies: chunks are read into one buffer that is used
 * again, and never joined. What a reader leaves (the start of a header) is offered again with the
 * next bytes behind it.
 *
 * Own code, because a general client costs ten times more for each key: see bench/.
 */
import { connect as connectTcp, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ConnectionError, type ImportError, messageOf, ProtocolError } from '../errors.js';
import { addressOf, type Endpoint, tlsOptions } from './endpoint.js';
import { command, MINUS } from './frames.js';
import { connectionName, type Identity, ownIdentity, ownName } from './identity.js';
import { createOutput, type Output } from './output.js';
import { ErrorReply, lineText, type Reader, type Reply, ReplyReader } from './reply.js';

const inputBytes = 256 * 1024;

export interface Connection {
  /** `host:port`, as it is named in errors. */
  readonly address: string;
  readonly out: Output;
  /** Which data set answers there, by `readDataset`; empty as long as that was not asked. */
  dataset: string;
  /** Set once it is lost; nothing can be sent or read any more. */
  readonly lost: ImportError | undefined;
  /** Calls back when it is lost, after the readers have failed. */
  onLost(callback: (error: ImportError) => void): void;
  /** Names the reader of the reply to what was just appended to `out`. */
  expect(reader: Reader): void;
  /** Sends a command and gives its whole reply; an error reply is a value. */
  call(...args: readonly (string | number | Buffer)[]): Promise<Reply>;
  /** An answer is owed, and we are ready to read it; once it is lost: an answer was owed then. */
  readonly isOwed: boolean;
  /** How many pieces of answers have come so far. */
  readonly heardCount: number;
  /** How often reading was paused so far. */
  readonly pauseCount: number;
  /** Stops reading from the socket until as many `resume` calls have come: back-pressure. */
  pause(): void;
  resume(): void;
  close(): void;
}

export interface ConnectOptions {
  /** How long the server may be silent while an answer is owed, and how long connecting may take. */
  readonly timeoutMs: number;
  /** Give it a name there, where the user may: so that it is not taken for one of the server's clients. */
  readonly isNamed?: boolean;
}

/**
 * Opens a connection, authenticates and selects the database.
 * @throws ConnectionError naming the server.
 */
export async function connect(endpoint: Endpoint, options: ConnectOptions): Promise<Connection> {
  const address = addressOf(endpoint);
  const connection = await open(endpoint, address, options.timeoutMs);
  const steps: (string | number)[][] = [];
  if (endpoint.password !== undefined) {
    steps.push(
      endpoint.username === undefined
        ? ['AUTH', endpoint.password]
        : ['AUTH', endpoint.username, endpoint.password],
    );
  }
  if (endpoint.db !== 0) steps.push(['SELECT', endpoint.db]);
  const replies = await Promise.all(steps.map((step) => connection.call(...step)));
  for (const reply of replies) {
    if (reply instanceof ErrorReply) {
      connection.close();
      throw new ConnectionError(`${address} refused the connection: ${reply.text}`);
    }
  }
  const identity = ownIdentity();
  if (identity) await identified(connection, identity);
  else if (options.isNamed === true) await connection.call('CLIENT', 'SETNAME', ownName);
  return connection;
}

/** Whether a server takes names was found out before the start: that is no reason to do without it now. */
async function identified(connection: Connection, identity: Identity): Promise<void> {
  try {
    await connection.call('CLIENT', 'SETNAME', connectionName(identity));
    await identity.confirm();
  } catch (error) {
    connection.close();
    throw error;
  }
}

function open(endpoint: Endpoint, address: string, timeoutMs: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const input = Buffer.allocUnsafeSlow(inputBytes);
    let carried = 0;
    let pauses = 0;
    let pauseCount = 0;
    let heardCount = 0;
    let wasOwed = false;
    let lost: ImportError | undefined;
    let connected = false;
    let readers: Reader[] = [];
    let head = 0;
    const lossCallbacks: ((error: ImportError) => void)[] = [];

    const onread = {
      buffer: () => (carried === 0 ? input : input.subarray(carried)),
      callback: (byteCount: number) => {
        heardCount++;
        consume(carried + byteCount);
        return pauses === 0;
      },
    };
    const socket = openSocket(endpoint, onread);
    const out = createOutput(socket);
    socket.setTimeout(timeoutMs);

    function lose(error: ImportError): void {
      if (lost) return;
      wasOwed = isOwed();
      lost = error;
      cutOff();
      out.abandon();
      const waiting = readers.slice(head);
      readers = [];
      head = 0;
      if (!connected) reject(error);
      for (const reader of waiting) reader.fail(error);
      for (const callback of lossCallbacks) callback(error);
    }

    function isOwed(): boolean {
      // Readers that are idle hide those that wait behind them.
      while (readers[head]?.done) head++;
      const isIdle = readers[head]?.idle ?? head === readers.length;
      return connected && pauses === 0 && !isIdle;
    }

    /**
     * What was sent and not answered is sent again elsewhere, or over another connection. A server
     * that stood still must not come upon it later: it would write an old value over a newer one. So
     * what the system still holds for it is taken back, which a reset does, and an ordinary end
     * doesn't. (There is none for TLS.)
     */
    function cutOff(): void {
      const isUnanswered = connected && head < readers.length;
      if (isUnanswered && !endpoint.tls && endpoint.socket === undefined) socket.resetAndDestroy();
      else socket.destroy();
    }

    function consume(end: number): void {
      let at = 0;
      try {
        while (at < end && !lost) {
          const reader = readers[head];
          if (!reader) {
            turnedAway(at, end);
            return;
          }
          const next = reader.take(input, at, end);
          if (reader.done) {
            if (++head > 64) {
              readers = readers.slice(head);
              head = 0;
            }
          } else if (next === at) break;
          at = next;
        }
      } catch (error) {
        const reason = messageOf(error);
        lose(new ProtocolError(`${address} sent ${reason}`, { cause: error }));
        return;
      }
      carried = end - at;
      if (carried > 0 && at > 0) input.copyWithin(0, at, end);
      if (carried === inputBytes) {
        lose(new ProtocolError(`${address} sent a reply header without an end`));
      }
    }

    /** A server that has no place for us says so unasked, in words that people need. */
    function turnedAway(at: number, end: number): void {
      const text = input[at] === MINUS ? lineText(input, at, end) : undefined;
      if (text === undefined) throw new ProtocolError('more replies than there were commands');
      lose(new ConnectionError(`${address} refused the connection: ${text}`));
    }

    const connection: Connection = {
      address,
      out,
      dataset: '',
      get lost() {
        return lost;
      },
      onLost(callback) {
        if (lost) callback(lost);
        else lossCallbacks.push(callback);
      },
      get isOwed() {
        return lost ? wasOwed : isOwed();
      },
      get heardCount() {
        return heardCount;
      },
      get pauseCount() {
        return pauseCount;
      },
      expect(reader) {
        if (lost) reader.fail(lost);
        else readers.push(reader);
      },
      call(...args) {
        return new Promise((settle, fail) => {
          if (!lost) out.append(command(...args));
          connection.expect(new ReplyReader(settle, fail));
        });
      },
      pause() {
        pauseCount++;
        if (++pauses === 1) socket.pause();
      },
      resume() {
        if (--pauses > 0 || lost) return;
        // The time that went by was ours.
        socket.setTimeout(timeoutMs);
        socket.resume();
      },
      close() {
        lose(new ConnectionError(`the connection to ${address} was closed`));
      },
    };

    socket.once(endpoint.tls ? 'secureConnect' : 'connect', () => {
      connected = true;
      resolve(connection);
    });
    socket.on('timeout', () => {
      if (connected && !isOwed()) return;
      const what = connected ? 'did not answer' : 'could not be reached';
      lose(new ConnectionError(`${address} ${what} within ${String(timeoutMs)} ms`));
    });
    socket.on('error', (error) => {
      lose(
        new ConnectionError(`the connection to ${address} broke: ${wordsOf(error, endpoint)}`, {
          cause: error,
        }),
      );
    });
    socket.on('end', () => {
      lose(new ConnectionError(`${address} closed the connection`));
    });
    socket.on('close', () => {
      lose(new ConnectionError(`${address} closed the connection`));
    });
  });
}

const socketWords: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'connection refused'],
  ['ECONNRESET', 'connection reset'],
  ['EHOSTUNREACH', 'no route to the host'],
  ['ENETUNREACH', 'no route to the network'],
  ['ETIMEDOUT', 'connecting took too long'],
]);

/** The path of a temporary socket means nothing to people. */
function wordsOf(error: NodeJS.ErrnoException, { socket }: Endpoint): string {
  const { message, code = '' } = error;
  const known = socketWords.get(code);
  if (known !== undefined) return known;
  return socket === undefined ? message : message.replace(` ${socket}`, '');
}

/* Opens the socket of a connection, by whatever way the endpoint names. */

/** @param onread reads what comes into a buffer of the caller's; undefined: it comes as `data`. */
export function openSocket(
  { host, port, socket, tls, trust }: Endpoint,
  onread?: OnReadOpts,
): Socket {
  const reading = onread && { onread };
  const target = { host, port, noDelay: true, ...reading };
  if (tls) return connectTls({ ...target, ...tlsOptions(host, trust) });
  return connectTcp(socket === undefined ? target : { path: socket, ...reading });
}
