/**
 * Reads a node's answers to the SETs and RESTOREs of one part of a batch, and remembers only the
 * answers that are not `+OK`. What is asked behind them it reads too: the readers of
 * later parts are lined up before anybody knows whether that will be asked at all.
 */
import { ProtocolError } from '../../errors.js';
import { lineText, type Reader, ErrorReply, type Reply, textOf } from '../../redis/reply.js';
import { CR, DOLLAR, LF, MINUS, PLUS, command } from '../../redis/frames.js';
import { nextReply } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';

const upperO = 79;
const upperK = 75;

/** `null` is what SET … NX answers when the key is there. */
export interface Refusal {
  readonly index: number;
  readonly text: string | null;
}

export class AckReader implements Reader {
  done = false;
  readonly refusals: Refusal[] = [];
  /** Which key each answer belongs to: those that were not there are not asked for. */
  readonly #indexes: Uint32Array;
  readonly #settle: (error?: Error) => void;
  readonly #asking: boolean;
  #sent = 0;
  #received = 0;
  #complete = false;
  #settled = false;
  /** Reads the answer to what was asked behind the last command. */
  #last: Reader | undefined;
  #askingSkipped = false;

  /**
   * @param asking each command stands behind an ASKING, which answers too.
   * @param settle called once: all answers to the commands are in, or the node is lost.
   */
  constructor(keyCount: number, asking: boolean, settle: (error?: Error) => void) {
    this.#indexes = new Uint32Array(keyCount);
    this.#asking = asking;
    this.#settle = settle;
  }

  /** How many commands were sent so far. */
  get sentCount(): number {
    return this.#sent;
  }

  /** The index of the key that so-many-th command stores, counted from 0. */
  indexOfSent(sentIndex: number): number {
    return this.#indexes[sentIndex] as number;
  }

  /** Nothing is owed to it: the source has not come up with the next value. */
  get idle(): boolean {
    return this.#received === this.#sent && this.#last?.done !== false;
  }

  sent(index: number): void {
    this.#indexes[this.#sent++] = index;
  }

  /**
   * The part's last command has been sent.
   * @param last reads the answer to what was asked behind it, if anything was.
   */
  complete(last?: Reader): void {
    this.#complete = true;
    this.#last = last;
    this.#finishIfAllIn();
  }

  fail(error: Error): void {
    this.done = true;
    this.#settleOnce(error);
    this.#last?.fail(error);
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (at < end && !this.done && this.idle) {
      // Whoever counts one answer too many deletes a key that was not stored.
      throw new ProtocolError('a reply to a write that was not sent');
    }
    while (at < end && this.#received < this.#sent) {
      const next = this.#takeOne(bytes, at, end);
      if (next === at) return at;
      at = next;
    }
    if (at < end && this.#last && this.#received === this.#sent) {
      at = this.#last.take(bytes, at, end);
    }
    this.#finishIfAllIn();
    return at;
  }

  #takeOne(bytes: Buffer, at: number, end: number): number {
    const type = bytes[at];
    if (type === PLUS && at + 5 <= end && isOk(bytes, at)) {
      this.#count();
      return at + 5;
    }
    const text = lineText(bytes, at, end);
    if (text === undefined) return at;
    if (type === MINUS) this.#refuse(text);
    else if (type === DOLLAR && text === '-1') this.#refuse(null);
    else throw new ProtocolError('a malformed reply to a write');
    this.#count();
    return at + text.length + 3;
  }

  #refuse(text: string | null): void {
    if (this.#asking && !this.#askingSkipped) return;
    this.refusals.push({ index: this.#indexes[this.#received] as number, text });
  }

  #count(): void {
    if (this.#asking && !this.#askingSkipped) {
      this.#askingSkipped = true;
      return;
    }
    this.#askingSkipped = false;
    this.#received++;
  }

  #finishIfAllIn(): void {
    if (this.done || !this.#complete || this.#received < this.#sent) return;
    this.#settleOnce();
    this.done = this.#last?.done !== false;
  }

  #settleOnce(error?: Error): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#settle(error);
  }
}

/** Only OK says that a key is stored: QUEUED, say, does not. */
function isOk(bytes: Buffer, at: number): boolean {
  return (
    bytes[at + 1] === upperO &&
    bytes[at + 2] === upperK &&
    bytes[at + 3] === CR &&
    bytes[at + 4] === LF
  );
}

/*
 * What a node is asked before its keys are deleted at the source: whether its replicas have them.
 * Replication is asynchronous: a node that acknowledges and dies may take the keys with it.
 *
 * WAIT counts the replicas that have this connection's writes (since 3.0); WAITAOF those that have
 * them on disk, and the node itself (since 7.2).
 */

export interface Durability {
  /** The command to send behind the writes. */
  readonly question: Buffer;
  /** What is missing by its answer, in words; undefined: nothing. */
  shortfall(answer: Reply): string | undefined;
}

/** What is missing of what was written over this connection; nobody else may use it meanwhile. */
export async function shortfallOver(
  connection: Connection,
  durability: Durability,
): Promise<string | undefined> {
  connection.out.append(durability.question);
  return durability.shortfall(await nextReply(connection));
}

/**
 * @param replicas how many must confirm.
 * @param fsync they, and the node itself, must have it on disk.
 * @param timeoutMs how long they have for it.
 */
export function durability(
  replicas: number,
  fsync: boolean,
  timeoutMs: number,
): Durability | undefined {
  if (replicas === 0 && !fsync) return undefined;
  const question = fsync
    ? command('WAITAOF', 1, replicas, timeoutMs)
    : command('WAIT', replicas, timeoutMs);
  return {
    question,
    shortfall(answer) {
      if (answer instanceof ErrorReply) return `it answered: ${answer.text}`;
      const [local, confirmed] = Array.isArray(answer) ? answer : [1, answer];
      if (Number(local) >= 1 && Number(confirmed) >= replicas) return undefined;
      const where = fsync ? 'on disk' : 'by replicas';
      return `confirmed ${where} by ${textOf(confirmed)} of ${String(replicas)} within ${String(timeoutMs)} ms`;
    },
  };
}
