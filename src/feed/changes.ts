/**
 * What the commands of a source's stream change, and in which database.
 *
 * The stream names a database only when it is another one than before (replicationFeedSlaves in Redis'
 * replication.c keeps the last one in slaveseldb), and a replica that goes on somewhere is not told the one
 * it is in. So whoever joins either knows it, or waits for a sign of its own making in the stream
 * (`reportFrom`), or has each key reported in all databases that it may be in (`guessFrom`).
 */
import { ProtocolError } from '../errors.js';
import type { Places } from '../redis/command-keys.js';
import { CR, DOLLAR, headerEnd, headerLength, LF, MINUS, STAR } from '../redis/frames.js';
import { lineText, type Reader } from '../redis/reply.js';
import type { ChangeListener } from './feed.js';

type Handler = (words: FrameWords) => void;

/** They change no key: signs of life, messages, what stands around changes, and code. */
const keyless: readonly string[] = [
  'ping',
  'replconf',
  'publish',
  'spublish',
  'multi',
  'exec',
  'script',
  'function',
];

/** What stores only in one of its keys, and reads the others: where that one stands. */
const destinations: Readonly<Record<string, number>> = {
  sdiffstore: 1,
  sinterstore: 1,
  sunionstore: 1,
  zdiffstore: 1,
  zinterstore: 1,
  zunionstore: 1,
  zrangestore: 1,
  geosearchstore: 1,
  pfmerge: 1,
  bitop: 2,
};

/** More spellings of command names than these are looked up each time. */
const knownSpellings = 4096;

export class Changes {
  /** The database that the stream is in; undefined: it has not named one yet. */
  #db: number | undefined;
  #isMuted = false;
  #possibleDbs: readonly number[] = [];
  #sign: { readonly message: string; readonly db: number; readonly seen: () => void } | undefined;
  readonly #handlers = new Map<string, Handler>();
  readonly #special: ReadonlyMap<string, Handler>;

  /** @param placesOf where a command's keys stand, by its name in lower case. */
  constructor(
    readonly listener: ChangeListener,
    readonly placesOf: (name: string) => Places | undefined,
    db: number | undefined,
  ) {
    this.#db = db;
    this.#special = new Map<string, Handler>([
      ...keyless.map((name): [string, Handler] => [name, () => undefined]),
      ['select', ([, db]) => (this.#db = Number(db))],
      [
        'publish',
        ([, , message]) => {
          this.#published(message);
        },
      ],
      [
        'move',
        (words) => {
          this.#move(words);
        },
      ],
      [
        'copy',
        (words) => {
          this.#copy(words);
        },
      ],
      [
        'swapdb',
        ([, one, other]) => {
          this.#swap(Number(one), Number(other));
        },
      ],
      [
        'flushdb',
        () => {
          this.#everything('the source emptied the database');
        },
      ],
      [
        'flushall',
        () => {
          this.#everywhere('the source emptied all databases');
        },
      ],
      ...['eval', 'evalsha', 'fcall'].map((name): [string, Handler] => [name, this.#script(name)]),
    ]);
  }

  get db(): number | undefined {
    return this.#db;
  }

  /** Those that a change may be in as long as the stream has named none. */
  get possibleDbs(): readonly number[] {
    return this.#possibleDbs;
  }

  /**
   * Reports nothing until a PUBLISH of this message has passed, from a connection in this database: the
   * stream is in it then, whether it named it or was there already. `seen` is called when it does.
   */
  reportFrom(message: string, db: number, seen: () => void): void {
    this.#isMuted = true;
    this.#sign = { message, db, seen };
  }

  /** Reports from now on, and each key in all of these databases as long as the stream has named none. */
  guessFrom(dbs: readonly number[]): void {
    this.#isMuted = false;
    this.#sign = undefined;
    this.#possibleDbs = dbs;
  }

  /** Takes the stream's next command. */
  take(words: FrameWords): void {
    const spelling = words[0] ?? '';
    let handler = this.#handlers.get(spelling);
    if (!handler) {
      handler = this.#handlerOf(spelling);
      if (this.#handlers.size < knownSpellings) this.#handlers.set(spelling, handler);
    }
    handler(words);
  }

  #handlerOf(spelling: string): Handler {
    const name = spelling.toLowerCase();
    const special = this.#special.get(name);
    if (special) return special;
    if (Object.hasOwn(destinations, name)) {
      const place = destinations[name] as number;
      return (words) => {
        this.#changed(this.#db, words[place]);
      };
    }
    const places = this.placesOf(name);
    const shown = harmless(name);
    if (!places) {
      return () => {
        this.#everywhere(`the source passed on the unknown command ${shown}`);
      };
    }
    return (words) => {
      const found = places(words);
      for (const place of found) this.#changed(this.#db, words[place]);
      if (found.length > 0) return;
      this.#everywhere(
        `the source passed on ${shown}, and it is not known which keys that changes`,
      );
    };
  }

  /** @param name undefined: it was too long to be kept. */
  #changed(db: number | undefined, name: string | undefined): void {
    if (this.#isMuted) return;
    if (name === undefined) {
      this.listener.everything(db, 'a key was changed whose name is too long to be kept');
    } else if (db !== undefined) {
      this.listener.changed(db, name);
    } else if (this.#possibleDbs.length === 0) {
      this.listener.everything(undefined, 'a key was changed in a database that is not known');
    } else {
      for (const possible of this.#possibleDbs) this.listener.changed(possible, name);
    }
  }

  #everything(why: string): void {
    if (!this.#isMuted) this.listener.everything(this.#db, why);
  }

  #everywhere(why: string): void {
    if (!this.#isMuted) this.listener.everything(undefined, why);
  }

  #published(message: string | undefined): void {
    if (!this.#sign || message !== this.#sign.message) return;
    const { db, seen } = this.#sign;
    this.#db = db;
    this.#isMuted = false;
    this.#sign = undefined;
    seen();
  }

  /** MOVE key db. */
  #move([, name, db]: FrameWords): void {
    this.#changed(this.#db, name);
    this.#changed(Number(db), name);
  }

  /** COPY source destination [DB db] [REPLACE]. */
  #copy([, , destination, ...options]: FrameWords): void {
    const at = options.findIndex((option) => option?.toLowerCase() === 'db');
    this.#changed(at === -1 ? this.#db : Number(options[at + 1]), destination);
  }

  #swap(one: number, other: number): void {
    if (this.#isMuted) return;
    const why = `the source swapped the databases ${String(one)} and ${String(other)}`;
    this.listener.everything(one, why);
    this.listener.everything(other, why);
  }

  /**
   * Up to 4.0, and in 6.2 with lua-replicate-commands off, scripts are passed on as they were called,
   * and the keys that they declare are not all that they may write to.
   */
  #script(name: string): Handler {
    const places = this.placesOf(name);
    return (words) => {
      for (const place of places?.(words) ?? []) this.#changed(this.#db, words[place]);
      this.#everything('a script was passed on whose keys are not all known');
    };
  }
}

/** A command's name as it may be shown: it can be any bytes. */
function harmless(name: string): string {
  return name === '' ? '(too long)' : name.slice(0, 40).replace(/[^\w.|-]/g, '?');
}

/*
 * Reads the stream that a server sends its replicas: commands, one behind the other, without an end.
 *
 * Every byte counts in the stream's offset, by which a lost link goes on: so the reader counts what it
 * takes, and `offset` stands behind the last command that was read whole. A value of any size passes without
 * being kept.
 */

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
