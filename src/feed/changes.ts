/**
 * What the commands of a source's stream change, and in which database.
 *
 * The stream names a database only when it is another one than before (replicationFeedSlaves in Redis'
 * replication.c keeps the last one in slaveseldb), and a replica that goes on somewhere is not told the one
 * it is in. So whoever joins either knows it, or waits for a sign of its own making in the stream
 * (`reportFrom`), or has each key reported in all databases that it may be in (`guessFrom`).
 */
import type { Places } from '../redis/command-keys.js';
import type { ChangeListener } from './feed.js';
import type { FrameWords } from './stream-reader.js';

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
