/**
 * Reads a node's answers to the SETs and RESTOREs of one part of a batch, and remembers only the
 * answers that are not `+OK`.
 */
import { ProtocolError } from '../../errors.js';
import type { Reader } from '../../redis/reader.js';
import { CR, DOLLAR, LF, MINUS, PLUS } from '../../redis/frames.js';
import { lineText } from '../../redis/reply.js';

const upperO = 79;
const upperK = 75;

/** `null` is what SET … NX answers when the key is there. */
export interface Refusal {
  readonly place: number;
  readonly text: string | null;
}

export class AckReader implements Reader {
  done = false;
  readonly refusals: Refusal[] = [];
  /** Which key each answer belongs to: those that were not there are not asked for. */
  readonly #places: Uint32Array;
  readonly #settle: (error?: Error) => void;
  readonly #asking: boolean;
  #sent = 0;
  #received = 0;
  #complete = false;
  #askingSkipped = false;

  /** @param asking each command stands behind an ASKING, which answers too. */
  constructor(keyCount: number, asking: boolean, settle: (error?: Error) => void) {
    this.#places = new Uint32Array(keyCount);
    this.#asking = asking;
    this.#settle = settle;
  }

  /** How many commands were sent so far. */
  get sentCount(): number {
    return this.#sent;
  }

  /** Nothing is owed to it: the source has not come up with the next value. */
  get idle(): boolean {
    return this.#received === this.#sent;
  }

  sent(place: number): void {
    this.#places[this.#sent++] = place;
  }

  /** The part's last command has been sent. */
  complete(): void {
    this.#complete = true;
    this.#finishIfAllIn();
  }

  fail(error: Error): void {
    this.done = true;
    this.#settle(error);
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (at < end && !this.done && this.#received === this.#sent) {
      // Whoever counts one answer too many deletes a key that was not stored.
      throw new ProtocolError('an answer to a write that was not sent');
    }
    while (at < end && this.#received < this.#sent) {
      const next = this.#takeOne(bytes, at, end);
      if (next === at) return at;
      at = next;
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
    else throw new ProtocolError('an answer to a write that is none');
    this.#count();
    return at + text.length + 3;
  }

  #refuse(text: string | null): void {
    if (this.#asking && !this.#askingSkipped) return;
    this.refusals.push({ place: this.#places[this.#received] as number, text });
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
    this.done = true;
    this.#settle();
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
