/**
 * Reads the stream that a server sends its replicas: commands, one behind the other, without an end.
 *
 * Every byte counts in the stream's offset, by which a lost link goes on: so the reader counts what it
 * takes, and `offset` stands behind the last command that was read whole. A value of any size passes without
 * being kept.
 */
import { ProtocolError } from '../errors.js';
import { CR, DOLLAR, headerEnd, headerLength, LF, MINUS, STAR } from '../redis/frames.js';
import { lineText, type Reader } from '../redis/reply.js';

/** Longer arguments are not kept: they are values, but for very odd keys. */
export const longestKeptBytes = 16 * 1024;

/** A command of the stream: latin1 strings of the words' bytes; undefined: longer than is kept. */
export type FrameWords = readonly (string | undefined)[];

export class StreamReader implements Reader {
  readonly done = false;
  /** A source without changes is silent, but for a PING now and then: whoever opened the link watches that. */
  readonly idle = true;
  /** When bytes last came, ms since the epoch. */
  heardAtMs = Date.now();
  #offset: number;
  /** Taken of the command under way. */
  #takenBytes = 0;
  #words: (string | undefined)[] = [];
  #wordsLeft = 0;
  /** The length of the word under way; -1: its header is still to come. */
  #length = -1;
  /** Of a word that is too long to be kept: how many bytes are still to come. */
  #skipLeft = 0;

  /**
   * @param offset where the stream stands before its first byte.
   * @param onFrame is given each command; `offset` is behind it only when this has returned.
   * @param onChunk is called when all commands of a chunk of bytes have been given.
   */
  constructor(
    offset: number,
    readonly onFrame: (words: FrameWords) => void,
    readonly onChunk: () => void,
  ) {
    this.#offset = offset;
  }

  /** Behind the last command that was read whole. */
  get offset(): number {
    return this.#offset;
  }

  fail(): void {
    // Whoever opened the link hears of its loss.
  }

  take(bytes: Buffer, from: number, end: number): number {
    this.heardAtMs = Date.now();
    let at = from;
    while (at < end) {
      const next = this.#wordsLeft === 0 ? this.#begin(bytes, at, end) : this.#word(bytes, at, end);
      if (next === at) break;
      at = next;
    }
    this.onChunk();
    return at;
  }

  /** Takes the head of a command: `*3`. */
  #begin(bytes: Buffer, from: number, end: number): number {
    const type = bytes[from];
    if (type === LF) {
      // A sign of life, as servers send while they prepare a full copy; replicas count it.
      this.#offset++;
      return from + 1;
    }
    if (type === MINUS) {
      const text = lineText(bytes, from, end);
      if (text === undefined) return from;
      throw new ProtocolError(`an error in its stream of changes: ${text}`);
    }
    if (type !== STAR) {
      throw new ProtocolError(
        `a stream of changes with a command that starts with byte ${String(type)}`,
      );
    }
    const cr = headerEnd(bytes, from, end);
    if (cr === -1) return from;
    const count = headerLength(bytes, from, cr);
    if (count < 1) throw new ProtocolError('a stream of changes with a command without words');
    this.#words = [];
    this.#wordsLeft = count;
    this.#takenBytes = cr + 2 - from;
    return cr + 2;
  }

  /** Takes the head of a word, or what it can of the word itself. */
  #word(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (this.#length === -1) {
      if (bytes[at] !== DOLLAR)
        throw new ProtocolError('a stream of changes with a word without a length');
      const cr = headerEnd(bytes, at, end);
      if (cr === -1) return from;
      const length = headerLength(bytes, at, cr);
      if (length < 0) throw new ProtocolError('a stream of changes with a word without a length');
      this.#length = length;
      this.#skipLeft = length > longestKeptBytes ? length : 0;
      at = cr + 2;
    }
    const kept = this.#length <= longestKeptBytes;
    let wordEnd = at + this.#length;
    if (!kept) {
      const part = Math.min(this.#skipLeft, end - at);
      this.#skipLeft -= part;
      at += part;
      wordEnd = at;
    }
    if (this.#skipLeft > 0 || wordEnd + 2 > end) {
      this.#takenBytes += at - from;
      return at;
    }
    if (bytes[wordEnd] !== CR || bytes[wordEnd + 1] !== LF) {
      throw new ProtocolError(
        'a stream of changes with a word of another length than its header said',
      );
    }
    this.#words.push(kept ? bytes.toString('latin1', at, wordEnd) : undefined);
    this.#length = -1;
    this.#takenBytes += wordEnd + 2 - from;
    if (--this.#wordsLeft === 0) this.#finish();
    return wordEnd + 2;
  }

  #finish(): void {
    const words = this.#words;
    this.#words = [];
    this.onFrame(words);
    this.#offset += this.#takenBytes;
    this.#takenBytes = 0;
  }
}
