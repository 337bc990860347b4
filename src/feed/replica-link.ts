/**
 * A connection on which a source takes us for a replica.
 *
 * Nothing is pipelined: PSYNC is refused as long as a reply is still to be sent ("SYNC and PSYNC are invalid
 * with pending output", syncCommand in Redis' replication.c). And nothing but REPLCONF ACK may be sent on it
 * once the stream runs: from 7.0 on any other reply closes it.
 */
import { PreflightError, ProtocolError, RefusedError } from '../errors.js';
import type { Connection } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';
import { command, DOLLAR, LF, MINUS, PLUS } from '../redis/frames.js';
import { lineText, type Reader } from '../redis/reply.js';
import { ask, connectToSource, refusal, type SourceConnection } from './source-commands.js';

/**
 * Replicas report how far they are once a second. An offset of 0 keeps the link alive, and never counts for
 * a client's WAIT (replicationCountAcksByOffset).
 */
const ack = command('REPLCONF', 'ACK', 0);

/**
 * What a replica says of itself before it asks for the stream; older servers refuse what they don't know,
 * which does no harm.
 */
const introduction: readonly (readonly string[])[] = [
  // Sentinels don't list a replica that has no address (6.2+).
  ['ip-address', ''],
  // Without it, servers with repl-diskless-sync would not wait for others (startBgsaveForReplication).
  ['capa', 'eof'],
  // The answer names the history that goes on, which after a failover is another one (4.0+).
  ['capa', 'psync2'],
  // If a full copy should be begun after all: one without any keys (7.0+).
  ['rdb-filter-only', ''],
];

/** What the source answered: it goes on, under a new name if it says one; or it can't. */
type GoingOn =
  { readonly goesOn: true; readonly replicationId?: string } | { readonly goesOn: false };

export class ReplicaLink {
  readonly connection: Connection;

  constructor(readonly source: SourceConnection) {
    this.connection = source.connection;
  }

  /**
   * Asks for the stream from the byte at `offset` on.
   * @param reader is given the stream.
   * @returns whether it goes on; if not, the link is closed.
   * @throws RefusedError when the server refuses, ConnectionError when the link is lost.
   */
  async goOn(
    psyncName: string,
    replicationId: string,
    offset: number,
    reader?: Reader,
  ): Promise<GoingOn> {
    const { connection } = this;
    connection.out.append(command(psyncName, replicationId, offset));
    const answer = new Promise<string>((resolve, reject) => {
      connection.expect(new AnswerReader(resolve, reject));
    });
    // The stream may begin in the same chunk of bytes as the answer ends in.
    if (reader) connection.expect(reader);
    const line = await answer;
    if (goesOn(line)) {
      const id = line.slice(1).split(' ')[1];
      return id === undefined ? { goesOn: true } : { goesOn: true, replicationId: id };
    }
    this.close();
    if (line === dollar) {
      throw new PreflightError(
        `${this.connection.address} takes ${psyncName} for SYNC, as servers do whose PSYNC was renamed: its changes can't be followed unless it is called PSYNC again.`,
      );
    }
    if (line.startsWith('-')) throw refusal(this.source, psyncName, [], line.slice(1));
    return { goesOn: false };
  }

  acknowledge(): void {
    if (!this.connection.lost) this.connection.out.append(ack);
  }

  close(): void {
    this.connection.close();
  }
}

/**
 * Connects, logs in and introduces us as a replica.
 * @throws RefusedError when the server refuses, ConnectionError when it can't be reached.
 */
export async function openReplicaLink(endpoint: Endpoint, timeoutMs: number): Promise<ReplicaLink> {
  const source = await connectToSource(endpoint, timeoutMs);
  try {
    for (const words of introduction) await introduce(source, words);
    return new ReplicaLink(source);
  } catch (error) {
    source.connection.close();
    throw error;
  }
}

async function introduce(source: SourceConnection, words: readonly string[]): Promise<void> {
  try {
    await ask(source, 'REPLCONF', ...words);
  } catch (error) {
    // Who may not say this may not acknowledge either.
    const isUnknownOption = error instanceof RefusedError && !/^(NOAUTH|NOPERM)/.test(error.reply);
    if (!isUnknownOption || /unknown command/i.test(error.reply)) throw error;
  }
}

const dollar = '$';

function goesOn(line: string): boolean {
  return /^\+CONTINUE( |$)/.test(line);
}

/**
 * Reads the answer to PSYNC, type byte and all. Lone newlines may stand in front of it, as long as the server
 * is busy. What follows an answer that is not +CONTINUE is passed over, until the connection is closed.
 */
class AnswerReader implements Reader {
  done = false;
  #isOver = false;

  constructor(
    readonly settle: (line: string) => void,
    readonly fail: (error: Error) => void,
  ) {}

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (this.#isOver) return end;
    while (at < end && bytes[at] === LF) at++;
    if (at === end) return at;
    const type = bytes[at];
    if (type === DOLLAR) {
      // A full copy begins, as it does for SYNC: a server looks only at the name that was sent.
      this.settle(dollar);
      this.#isOver = true;
      return end;
    }
    if (type !== PLUS && type !== MINUS) {
      throw new ProtocolError(`an answer to PSYNC that starts with byte ${String(type)}`);
    }
    const text = lineText(bytes, at, end);
    if (text === undefined) return at;
    const line = `${type === PLUS ? '+' : '-'}${text}`;
    this.settle(line);
    if (goesOn(line)) {
      this.done = true;
      return at + text.length + 3;
    }
    this.#isOver = true;
    return end;
  }
}
