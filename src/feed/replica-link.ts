/**
 * A connection on which a source takes us for a replica.
 *
 * Nothing is pipelined: PSYNC is refused as long as a reply is still to be sent ("SYNC and PSYNC are invalid
 * with pending output", syncCommand in Redis' replication.c). And nothing but REPLCONF ACK may be sent on it
 * once the stream runs: from 7.0 on any other reply closes it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { PreflightError, ProtocolError, RefusedError, ConnectionError } from '../errors.js';
import type { Connection } from '../redis/connection.js';
import { type Endpoint, addressOf } from '../redis/endpoint.js';
import { command, DOLLAR, LF, MINUS, PLUS } from '../redis/frames.js';
import { lineText, type Reader, textOf } from '../redis/reply.js';
import {
  ask,
  connectToSource,
  refusal,
  type SourceConnection,
  readStreamState,
  type StreamState,
} from './source-commands.js';

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

/*
 * A backlog at a source that has none: what a replica goes on from, which a server makes only when the first
 * replica asks for a full copy. The copy itself is not wanted, nor the fork that it takes. So this asks for
 * one, and hangs up: the backlog is made at once (syncCommand in Redis' replication.c), and with
 * repl-diskless-sync the copy is begun only repl-diskless-sync-delay later (replicationCron), for those who
 * still wait then.
 */

const lookEveryMs = 5;

/**
 * Makes the backlog; it stays for repl-backlog-ttl (an hour, by default) after the last replica has left.
 * @param psyncName what PSYNC is called there.
 * @throws PreflightError where it would take a fork, with what to set; ConnectionError, RefusedError.
 */
export async function makeBacklog(
  source: SourceConnection,
  state: StreamState,
  psyncName: string,
): Promise<void> {
  if (await needsDiskless(source, state)) {
    await setDiskless(source, 'yes');
    try {
      await askAndHangUp(source, state, psyncName);
    } finally {
      await setDiskless(source, 'no');
    }
  } else {
    await askAndHangUp(source, state, psyncName);
  }
}

/**
 * Whether repl-diskless-sync has to be switched on for a moment.
 * @throws PreflightError where that is not enough, or where it is not known.
 */
async function needsDiskless(source: SourceConnection, state: StreamState): Promise<boolean> {
  const address = addressOf(source.endpoint);
  const settings = await readSettings(source);
  if (!settings) {
    // From 7.0 on it is on by default, as is the delay.
    if (state.versionNumber >= 70000) return false;
    throw new PreflightError(
      `${address} keeps no replication backlog, and making one without a fork takes repl-diskless-sync, which can't be looked at there: allow CONFIG GET and CONFIG SET, or set repl-diskless-sync to yes and let a replica follow it for a moment.`,
    );
  }
  if (settings.get('repl-diskless-sync-delay') === '0') {
    throw new PreflightError(
      `${address} keeps no replication backlog, and would fork at once to make one: set repl-diskless-sync-delay to 5 there.`,
    );
  }
  if ((settings.get('repl-diskless-sync-max-replicas') ?? '0') !== '0') {
    throw new PreflightError(
      `${address} keeps no replication backlog, and would fork at once to make one: set repl-diskless-sync-max-replicas to 0 there.`,
    );
  }
  const diskless = settings.get('repl-diskless-sync');
  if (diskless === undefined) {
    throw new PreflightError(
      `${address} keeps no replication backlog, and is too old to make one without a fork (Redis ${state.version} has no repl-diskless-sync): let a replica follow it.`,
    );
  }
  return diskless !== 'yes';
}

/** @returns undefined where they may not be read. */
async function readSettings(
  source: SourceConnection,
): Promise<ReadonlyMap<string, string> | undefined> {
  try {
    const reply = await ask(source, 'CONFIG', 'GET', 'repl-diskless-sync*');
    const words = Array.isArray(reply) ? reply.map(textOf) : [];
    const settings = new Map<string, string>();
    for (let at = 0; at + 1 < words.length; at += 2)
      settings.set(words[at] ?? '', words[at + 1] ?? '');
    return settings;
  } catch (error) {
    if (error instanceof RefusedError) return undefined;
    throw error;
  }
}

async function setDiskless(source: SourceConnection, value: 'yes' | 'no'): Promise<void> {
  try {
    await ask(source, 'CONFIG', 'SET', 'repl-diskless-sync', value);
  } catch (error) {
    if (value === 'no' || !(error instanceof RefusedError)) throw error;
    throw new PreflightError(
      `${addressOf(source.endpoint)} keeps no replication backlog, and making one without a fork takes repl-diskless-sync, which can't be set there: set it to yes yourself, or allow CONFIG SET.`,
      { cause: error },
    );
  }
}

async function askAndHangUp(
  source: SourceConnection,
  before: StreamState,
  psyncName: string,
): Promise<void> {
  const link = await openReplicaLink(source.endpoint, source.timeoutMs);
  try {
    const refused = new Promise<never>((_, reject) => {
      link.goOn(psyncName, '?', -1).catch(reject);
    });
    const made = until(
      source,
      'make a replication backlog',
      ({ backlog }) => backlog !== undefined,
    );
    await Promise.race([made, refused]);
  } finally {
    link.close();
  }
  // Gone for certain: with repl-diskless-sync off again, a copy for somebody who waits would begin at once.
  await until(source, 'let go of a link', ({ replicas }) => !(replicas > before.replicas));
}

async function until(
  source: SourceConnection,
  what: string,
  holds: (state: StreamState) => boolean,
): Promise<void> {
  const deadlineMs = performance.now() + source.timeoutMs;
  while (!holds(await readStreamState(source))) {
    if (performance.now() > deadlineMs) {
      const address = addressOf(source.endpoint);
      throw new ConnectionError(`${address} did not ${what} within ${String(source.timeoutMs)} ms`);
    }
    await sleep(lookEveryMs);
  }
}
